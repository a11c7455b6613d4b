package main

import (
	"fmt"

	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/cli"
	"github.com/penstock/penstock/internal/config"
)

// decode tries a payload on a configuration.
func decode(from config.Sources, p cli.Payload, each func(cli.Decoded) error) error {
	c := defaults()
	if _, err := config.Load(c, from); err != nil {
		return err
	}
	return c.Try(settings.Payload(p), func(t settings.Tried) error {
		d := cli.Decoded{Report: t.Report, Err: t.Err, Part: t.Part}
		for _, s := range t.Signals {
			d.Signals = append(d.Signals, fmt.Sprintf("%s %v %s", s.Quantity, s.Value, s.Quantity.Unit()))
		}
		return each(d)
	})
}
