package main

import (
	"context"
	"time"

	"github.com/penstock/penstock/internal/app/checkup"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/doctor"
)

// physician examines this machine.
type physician struct{}

// Examine implements [setup.Doctor].
func (physician) Examine(ctx context.Context, from config.Sources) doctor.Report {
	return doctor.Examine(ctx, doctor.ThisMachine(time.Now), subject(from))
}

// Ports implements [setup.Doctor].
func (physician) Ports(from config.Sources) ([]doctor.PortState, error) {
	return doctor.Ports(doctor.ThisMachine(time.Now), subject(from))
}

// subject returns what is known of the gateway. Of a configuration that does not
// hold, the file is left out: what the flags and the environment say may do.
func subject(from config.Sources) doctor.Subject {
	c := defaults()
	loaded, err := config.Load(c, from)
	var warnings []string
	if err == nil {
		warnings = loaded.Warnings
	} else if c = withoutFile(from); c == nil {
		c = defaults()
	}
	s := checkup.Subject(c)
	s.File, s.Problem, s.Warnings = from.File, err, warnings
	return s
}

func withoutFile(from config.Sources) *settings.Config {
	from.File, from.DotEnv = "", ""
	c := defaults()
	if _, err := config.Load(c, from); err != nil {
		return nil
	}
	return c
}
