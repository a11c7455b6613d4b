package main

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/penstock/penstock/internal/cli"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/logging"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"penstock":  main,
		"penstock0": func() { os.Exit(run(small())) },
	})
}

// The scripts run the binary as a user does.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "../../testdata/scripts", RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector's pause of a second at each end
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"await": await},
	})
}

// await waits until a file exists and, with a second argument, holds a line that
// matches the expression.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: await FILE [REGEXP]")
	}
	wanted, err := regexp.Compile("(?m)" + strings.Join(args[1:], ""))
	ts.Check(err)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-tick.C {
		if text, err := os.ReadFile(ts.MkAbs(args[0])); err == nil && wanted.Match(text) {
			return
		}
	}
	ts.Fatalf("%s did not come within 10 s", strings.Join(args, " "))
}

// small returns a program whose gateway does nothing but have the keys that
// every gateway has.
func small() cli.Program {
	type keys struct {
		Data   string `yaml:"data" jsonschema_description:"data directory"`
		Listen struct {
			HTTPS  config.Address `yaml:"https"`
			Health config.Address `yaml:"health"`
			MQTT   config.Address `yaml:"mqtt"`
		} `yaml:"listen"`
		Log logging.Config `yaml:"log"`
	}
	defaults := func() *keys { return &keys{Data: "penstock-data", Log: logging.Default()} }
	run := func(ctx context.Context, _ *keys, _ func(context.Context) (*keys, error), s cli.Start) error {
		s.Started(cli.Facts{PID: os.Getpid()})
		if err := os.WriteFile("started", nil, 0o600); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}
	return cli.Program{Gateway: cli.NewGateway(defaults, run)}
}
