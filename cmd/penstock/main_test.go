package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/client"
	"github.com/penstock/penstock/internal/cli"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/logging"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"penstock":  main,
		"penstock0": func() { os.Exit(run(small())) },
		"edge":      func() { os.Exit(edge()) },
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
		Condition: func(name string) (bool, error) {
			if name != "root" {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			return os.Geteuid() == 0, nil // only root gives files to others
		},
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

// edge is a program at the edge: edge CONTROLLER SCHEME SECRETFILE N sends N
// reports to the gateway whose data directory PENSTOCK_DATA names, and ends when
// they are in its record.
func edge() (status int) {
	if err := sendFromEdge(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func sendFromEdge(controller, scheme, secretFile, count string) error {
	data := os.Getenv("PENSTOCK_DATA")
	var addresses map[string]string
	text, err := os.ReadFile(filepath.Join(data, "run", "addresses.json"))
	if err == nil {
		err = json.Unmarshal(text, &addresses)
	}
	secret, readErr := os.ReadFile(secretFile)
	pem, pemErr := os.ReadFile(filepath.Join(data, "tls", "cert.pem"))
	n, countErr := strconv.Atoi(count)
	if err := errors.Join(err, readErr, pemErr, countErr); err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	key := map[string]string{"link": "listen.link", "link+udp": "listen.link_udp", "https": "listen.https"}[scheme]
	c, err := client.Open(client.Options{
		Controller: controller, Gateway: scheme + "://" + addresses[key], Token: strings.TrimSpace(string(secret)), Key: string(secret),
		TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, Dir: "outbox-" + controller + scheme,
	})
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	for v := range n {
		if err := c.Send(ctx, penstock.Sample{Point: "flow", Value: penstock.IntValue(int64(v))}); err != nil {
			return fmt.Errorf("%w: %w", err, c.Stats().Trouble)
		}
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); c.Stats().Waiting > 0; <-tick.C {
		if time.Now().After(deadline) {
			return fmt.Errorf("not all is in the record: %+v", c.Stats())
		}
	}
	fmt.Println(n, "reports are in the record")
	return nil
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
	run := func(ctx context.Context, _ *keys, _ cli.Again[keys], s cli.Start) error {
		s.Started(cli.Facts{PID: os.Getpid()})
		if err := os.WriteFile("started", nil, 0o600); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}
	return cli.Program{Gateway: cli.NewGateway(defaults, run, func(*keys) error { return nil })}
}
