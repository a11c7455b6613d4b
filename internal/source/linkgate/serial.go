package linkgate

import (
	"context"
	"io"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/serialport"
	"github.com/penstock/penstock/internal/source"
)

// Serial is a serial line with controllers on it. They are named by the
// configuration: the line carries no credential, unless it is sealed.
type Serial struct {
	desk
	line SerialConfig
	boot uint64 // of this start of the gateway, for the seals
	open func() (wire, error)
}

// wire is an open line.
type wire interface {
	io.ReadWriteCloser
	SetWriteDeadline(time.Time) error
}

var _ penstock.Source = (*Serial)(nil)

// NewSerial returns the source of a line. The error has code [penstock.Invalid].
func NewSerial(c SerialConfig, env source.Env) (*Serial, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Sealed && env.Keys == nil {
		return nil, penstock.Errorf(penstock.Invalid, "sealed: a sealed line needs the keys of the controllers")
	}
	boot, err := newBoot(env)
	if err != nil {
		return nil, err
	}
	s := &Serial{boot: boot, desk: desk{env: env, port: env.Evidence.Port(env.Name)}, line: c.withDefaults()}
	s.open = s.openPort
	return s, nil
}

func (s *Serial) openPort() (wire, error) {
	port, err := serialport.Open(s.line.Serial)
	if err != nil {
		return nil, err
	}
	return &source.Line{Port: port, Page: s.port}, nil
}

// Run speaks on the line until ctx ends, or the line fails.
func (s *Serial) Run(ctx context.Context, next penstock.Handler) error {
	w, err := s.open()
	if err != nil {
		return err
	}
	s.env.Status.OK()
	return newLine(s, w).run(ctx, next)
}
