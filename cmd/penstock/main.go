// Command penstock takes readings from controllers, makes them durable and
// delivers each exactly once. See 'penstock --help'.
package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/penstock/penstock/internal/cli"
	"github.com/penstock/penstock/internal/cli/shell"
)

// version is the number of the release that this tree becomes.
//
//go:embed VERSION
var version string

func main() { os.Exit(run(program())) }

// run runs the command line and returns the exit code.
func run(parts cli.Program) int {
	return cli.Run(context.Background(), shell.Env{
		Args:    os.Args[1:],
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Environ: os.Environ(),
		Version: strings.TrimSpace(version),
		Now:     time.Now,
		Rand:    rand.Reader,
		Signals: signals,
		Hangups: hangups,
	}, parts)
}

// signals ends the context at the first signal that asks the process to stop; a
// second one ends the process at once.
func signals(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// hangups takes SIGHUP from now on.
func hangups() (next func(context.Context) error, stop func()) {
	came := make(chan os.Signal, 1)
	signal.Notify(came, syscall.SIGHUP)
	next = func(ctx context.Context) error {
		select {
		case <-came:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return next, func() { signal.Stop(came) }
}
