package settings

import (
	"context"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/apart"
)

// ApartCommand is the command of this program that serves a source apart: it calls
// [ServeApart].
const ApartCommand = "source"

// runsApart tells whether the source has a process of its own. The library that
// speaks OPC UA can end the process that it runs in.
func (s *Source) runsApart() bool { return s.Apart || s.OPCUA != nil }

// newApart returns the source in a process of its own.
func (s *Source) newApart(env source.Env) (penstock.Source, error) {
	text, err := config.Carry(s)
	if err != nil {
		return nil, err
	}
	return apart.New(apart.Options{Args: []string{ApartCommand, "--"}, Config: text}, env)
}

// ServeApart runs the source that the gateway which started this process asks for.
func ServeApart(ctx context.Context) error {
	return apart.Serve(ctx, func(text []byte) (func(source.Env) (penstock.Source, error), error) {
		s := new(Source)
		if err := config.Receive(text, s); err != nil {
			return nil, err
		}
		if set := s.chosen(); len(set) == 1 {
			return set[0].make, nil
		}
		return nil, penstock.Errorf(penstock.Invalid, "the gateway asks for no kind of source that there is")
	})
}
