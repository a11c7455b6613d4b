package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Env is what a command gets from the process.
type Env struct {
	Args    []string // without the program's name
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Environ []string // NAME=value
	Version string   // of the program, such as "0.1.0"
	Now     func() time.Time
	Rand    io.Reader
	Sleep   func(context.Context, time.Duration) error // nil for the real one
	// Signals returns a context that ends at the signals which ask a process to
	// stop. Commands that can stop in good order call it; to the others such a
	// signal is the end.
	Signals func(context.Context) (context.Context, context.CancelFunc)
	// Hangups begins to take the signal that asks a gateway to read its
	// configuration again. next waits for the next one; it fails when ctx ends.
	Hangups func() (next func(context.Context) error, stop func())
}

// CommandArgs refuses words that name no command, and says which one was meant.
func CommandArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	text := fmt.Sprintf("%q is no command of %s", args[0], cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return errors.New(text)
}

// NoArgs refuses all arguments.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%s takes no arguments, not %q", cmd.CommandPath(), args[0])
}

// ShowHelp is what a command does that only holds others.
func ShowHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// Getenv returns a variable of the environment.
func (e Env) Getenv(name string) string {
	for _, pair := range e.Environ {
		if value, found := strings.CutPrefix(pair, name+"="); found {
			return value
		}
	}
	return ""
}

// IsTerminal tells whether a person sees what is written to w, or types what is
// read from it.
func IsTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Pause waits, or returns the error of ctx when it ends before.
func (e Env) Pause(ctx context.Context, d time.Duration) error {
	if e.Sleep != nil {
		return e.Sleep(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
