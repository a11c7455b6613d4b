package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/penstock/penstock/internal/app"
	"github.com/penstock/penstock/internal/app/offline"
	"github.com/penstock/penstock/internal/app/scripts"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/cli"
	"github.com/penstock/penstock/internal/cli/setup"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/demo"
	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/internal/sim"
)

// program returns the parts that the commands start.
func program() cli.Program {
	return cli.Program{
		Gateway:    cli.NewGateway(defaults, serve, scripts.Examine),
		Spool:      shelf{},
		Demo:       runDemo,
		Decode:     decode,
		Apart:      settings.ServeApart,
		ScanModbus: scanModbus,
		ScanOPCUA:  scanOPCUA,
		Setup:      setup.Parts{Doctor: physician{}, Gateway: installable()},
	}
}

func defaults() *settings.Config {
	c := settings.Default()
	return &c
}

// serve runs the gateway of a configuration.
func serve(ctx context.Context, c *settings.Config, again cli.Again[settings.Config], s cli.Start) error {
	logs, err := logging.Open(c.Log, logging.Options{Stderr: s.Log, Terminal: s.Terminal, Program: "penstock", Now: time.Now})
	if err != nil {
		return err
	}
	defer logs.Close()
	return app.Run(ctx, app.Options{
		Config: *c, ConfigFile: absolute(s.File), Asked: again.Asked, Load: again.Load, AllowRoot: s.AllowRoot, TakeOver: s.TakeOver, Lever: s.Lever, Version: s.Version, Logs: logs,
		Printed: func() ([]byte, error) { return config.Print(c, s.Loaded) }, Now: time.Now,
		Started: func(started app.Started) { s.Started(facts(started)) },
	})
}

// absolute returns a path that means the same in every directory.
func absolute(file string) string {
	if path, err := filepath.Abs(file); err == nil && file != "" {
		return path
	}
	return file
}

func facts(s app.Started) cli.Facts {
	f := cli.Facts{
		Data: s.Data, Certificate: s.Certificate, Fingerprint: s.Fingerprint, TokenFile: s.TokenFile, PID: os.Getpid(),
	}
	for _, a := range s.Addresses {
		f.Addresses = append(f.Addresses, cli.Listener(a))
	}
	return f
}

// runDemo runs the demo; its error is that of a demo that proved nothing.
func runDemo(ctx context.Context, o cli.DemoOptions) error {
	summary, err := demo.Run(ctx, demo.Options{
		For: o.For, Controllers: o.Controllers, KillEvery: o.KillEvery, Open: o.Open, Listen: o.Listen, Data: o.Data, JSON: o.JSON,
		Impair:   sim.Impairments{Loss: o.Loss, Duplicate: o.Duplicate, Reorder: o.Reorder, Corrupt: o.Corrupt},
		Interval: o.Interval, Seed: o.Seed, Breaks: o.Breaks, Out: o.Stdout, Messages: o.Stderr,
	})
	if err != nil {
		return err
	}
	return summary.Err()
}

// scanModbus looks for Modbus devices.
func scanModbus(ctx context.Context, o cli.ModbusScan) error { return offline.ModbusScan(o).Run(ctx) }

// scanOPCUA looks at what an OPC UA server has.
func scanOPCUA(ctx context.Context, o cli.OPCUAScan) error { return offline.OPCUAScan(o).Run(ctx) }
