package ops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/penstock/penstock/internal/apiclient"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
)

// What a terminal does at these.
const (
	home  = "\x1b[H"
	toEnd = "\x1b[K" // to the end of the line
	below = "\x1b[J" // all below
)

func newTop(env shell.Env) *cobra.Command {
	var at shell.Remote
	var once, asJSON bool
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch how reports flow: stages, backlog, memory, worst controllers",
		Long: `Watch how reports flow through a gateway, until Ctrl-C: each stage with how many
reports pass it a second and how long it takes, the slowest marked with *; what
waits for the record; memory; and the controllers with most trouble in their books.
Rates and times are those of the last minute.

When the output is no terminal, or with --once, it is shown once.`,
		Example: "  penstock top\n  penstock top --once",
		Args:    shell.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			if once || asJSON || !shell.IsTerminal(env.Stdout) {
				f, err := client.Flow(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					return output.JSON(env.Stdout, f)
				}
				return showFlow(env.Stdout, f)
			}
			ctx, stop := env.Signals(cmd.Context())
			defer stop()
			return watchFlow(ctx, env, client, every)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "show it once")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, once")
	cmd.Flags().DurationVar(&every, "every", 2*time.Second, "time between two looks")
	at.Register(cmd.Flags())
	return cmd
}

// watchFlow shows the flow again and again until ctx ends. A gateway that cannot be
// reached for a while is part of the picture.
func watchFlow(ctx context.Context, env shell.Env, client *apiclient.Client, every time.Duration) error {
	var unreachable *apiclient.Unreachable
	for first := true; ctx.Err() == nil; first = false {
		var page bytes.Buffer
		f, err := client.Flow(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && (first || !errors.As(err, &unreachable)):
			return err
		case err != nil:
			fmt.Fprintln(&page, output.Clean(err.Error()))
		default:
			if err := showFlow(&page, f); err != nil {
				return err
			}
		}
		if _, err := io.WriteString(env.Stdout, screen(page.String(), env.Stdout)); err != nil {
			return err
		}
		if env.Pause(ctx, max(every, 100*time.Millisecond)) != nil {
			return nil
		}
	}
	return nil
}

// screen returns what shows a page on a terminal in place of the one before, cut to
// its size.
func screen(page string, w io.Writer) string {
	width, height := 80, 24
	if f, ok := w.(*os.File); ok {
		if x, y, err := term.GetSize(int(f.Fd())); err == nil {
			width, height = x, y
		}
	}
	lines := strings.Split(strings.TrimRight(page, "\n"), "\n")
	var b strings.Builder
	b.WriteString(home)
	for i, line := range lines[:min(len(lines), height-1)] {
		if i > 0 {
			b.WriteString("\r\n")
		}
		shown := []rune(line)
		b.WriteString(string(shown[:min(len(shown), width)]) + toEnd)
	}
	return b.String() + below
}

// showFlow writes the flow as text.
func showFlow(w io.Writer, f apiclient.Flow) error {
	memory := output.Bytes(int64(f.Memory.Used))
	if f.Memory.Limit > 0 {
		memory += " of " + output.Bytes(int64(f.Memory.Limit))
	}
	if f.Memory.Shedding != "" {
		memory += ", does without " + f.Memory.Shedding
	}
	spool := output.Bytes(f.Spool.Used)
	if f.Spool.Quota > 0 {
		spool += " of " + output.Bytes(f.Spool.Quota)
	}
	fmt.Fprintf(w, "%s   over the last %.0f s\n", f.Time, f.Window)
	fmt.Fprintf(w, "memory %s, heap %s   goroutines %d   connections %d\n", memory, output.Bytes(int64(f.Memory.Heap)), f.Memory.Goroutines, f.Memory.Connections)
	fmt.Fprintf(w, "spool %s, %s wait for their sync\n", spool, output.Bytes(f.Spool.Pending))
	for _, b := range f.Backlog {
		fmt.Fprintf(w, "%s %s, backlog %d %s\n", output.Clean(b.Sink), b.State, b.Entries, output.Clean(b.Why))
	}
	for _, s := range f.Stalls {
		fmt.Fprintf(w, "STANDS STILL: %s since %s: %s; stacks in %s\n", output.Clean(s.Stage), s.Since, output.Clean(s.Goroutine), output.Clean(s.Stacks))
	}
	fmt.Fprintln(w)
	t := output.NewTable(w, "PART", "STAGE", "REPORTS/S", "MEAN", "P50", "P99", "BUSY", "UNDER WAY", "OLDEST")
	for _, s := range f.Stages {
		name := "  " + s.Name
		if f.Slowest[s.Part] == s.Name {
			name = "* " + s.Name
		}
		if err := t.Row(s.Part, name, fmt.Sprintf("%.1f", s.Rate), span(s.Mean), span(s.P50), span(s.P99), fmt.Sprintf("%.1f%%", 100*s.Busy), s.UnderWay, span(s.Oldest)); err != nil {
			return err
		}
	}
	if err := t.End(); err != nil {
		return err
	}
	return showTrouble(w, f.Worst)
}

func showTrouble(w io.Writer, worst []apiclient.FlowTrouble) error {
	if len(worst) == 0 {
		_, err := fmt.Fprintln(w, "\nno controller has trouble in its books")
		return err
	}
	fmt.Fprintln(w)
	t := output.NewTable(w, "CONTROLLER", "MISSING", "REJECTED", "QUARANTINED", "DUPLICATE", "IN SPOOL")
	for _, c := range worst {
		if err := t.Row(c.Controller, c.Missing, c.Rejected, c.Quarantined, c.Duplicate, c.InSpool); err != nil {
			return err
		}
	}
	return t.End()
}

// span shows a time in seconds to a person.
func span(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d == 0:
		return "-"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.1f s", seconds)
}
