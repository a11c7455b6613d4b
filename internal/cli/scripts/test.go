package scripts

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/script"
)

func newTest(env shell.Env) *cobra.Command {
	settings := script.Default()
	settings.Workers = 1
	timeout, memory, state := settings.Timeout.String(), settings.Memory.String(), settings.State.String()
	var reports string
	cmd := &cobra.Command{
		Use:   "test FILE",
		Short: "Run a script on recorded reports, and show what it changes",
		Long: `Run a script on recorded reports, one after the other, and show what it changes,
what it says on its console, and the time and memory that each report took. The
reports are NDJSON, as 'penstock send' takes them and 'penstock tail -o ndjson' or
'penstock query -o ndjson' write them; without any there are a few to begin with.

Nothing is sent anywhere. The exit code is 5 when the script failed on a report.`,
		Example: `  penstock script test clean.js
  penstock tail -o ndjson --count 100 > reports.ndjson
  penstock script test clean.js --reports reports.ndjson`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("%s takes the file of the script", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			settings.File = args[0]
			for _, flag := range []struct {
				name, text string
				into       interface{ UnmarshalText([]byte) error }
			}{{"timeout", timeout, &settings.Timeout}, {"memory", memory, &settings.Memory}, {"state", state, &settings.State}} {
				if err := flag.into.UnmarshalText([]byte(flag.text)); err != nil {
					return shell.Usagef("--%s: %w", flag.name, err)
				}
			}
			if err := settings.Validate(); err != nil {
				return shell.Usagef("--%w", err)
			}
			if _, err := os.Stat(settings.File); err != nil {
				return shell.Usagef("%w", err)
			}
			return try(cmd.Context(), env, *settings, reports)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&reports, "reports", "", "`FILE` with the reports, - for standard input")
	flags.StringVar(&timeout, "timeout", timeout, "longest `TIME` for one report, as script.timeout of the configuration")
	flags.StringVar(&memory, "memory", memory, "most `BYTES` of memory, as script.memory")
	flags.StringVar(&state, "state", state, "most `BYTES` of ctx.state a controller, as script.state")
	return cmd
}

// try runs the script on every report.
func try(ctx context.Context, env shell.Env, settings script.Config, from string) error {
	states, err := script.OpenStates(nil)
	if err != nil {
		return err
	}
	engine, err := script.New(script.Options{Config: settings, States: states, Log: slog.New(slog.DiscardHandler), Now: env.Now})
	if err != nil {
		return shell.Exit(shell.ExitRefused, err)
	}
	defer engine.Close() // the process ends next
	recording, err := open(env, from)
	if err != nil {
		return err
	}
	defer recording.Close() // it was only read
	t := trial{env: env, engine: engine, states: states}
	if err := each(recording, func(r *penstock.Report) error { return t.report(ctx, r) }); err != nil {
		return err
	}
	return t.end(settings)
}

// trial is a script on its way through the reports.
type trial struct {
	env    shell.Env
	engine *script.Engine
	states *script.States

	took                     []time.Duration
	need                     config.Size
	changed, dropped, failed int
}

// report runs the script on one report and shows what it did.
func (t *trial) report(ctx context.Context, r *penstock.Report) error {
	if r.ReceivedTime == 0 {
		r.ReceivedTime, r.Source = t.env.Now().UnixNano(), "https"
	}
	before := t.states.Of(r.Controller)
	need := t.engine.Need(r, t.need)
	out, err := t.engine.Run(ctx, r)
	if err != nil {
		return err
	}
	t.need = max(t.need, need)
	t.took = append(t.took, out.Took)
	var lines []string
	what := "unchanged"
	switch {
	case out.Fault != nil:
		t.failed++
		what = "failed"
		lines = append(lines, "! "+out.Fault.Error())
	case out.Dropped:
		t.dropped++
		what = "dropped"
	case out.Changed:
		t.changed++
		what, lines = changes(r.Samples, out.Samples)
	}
	for _, l := range out.Lines {
		lines = append(lines, levelMark(l.Level)+l.Text)
	}
	if after := t.states.Of(r.Controller); after != before {
		lines = append(lines, "ctx.state "+shell.First(after, "{}"))
	}
	if _, err := fmt.Fprintf(t.env.Stdout, "%s %s: %s (%s, %v)\n",
		output.Clean(r.Controller), output.Clean(r.Identity.String()), what, shown(out.Took), need); err != nil {
		return err
	}
	for _, l := range lines {
		if _, err := fmt.Fprintf(t.env.Stdout, "  %s\n", output.Clean(l)); err != nil {
			return err
		}
	}
	return nil
}

func levelMark(l slog.Level) string {
	if l == slog.LevelInfo {
		return "> "
	}
	return "> " + l.String() + " "
}

// end sums it up.
func (t *trial) end(settings script.Config) error {
	if len(t.took) == 0 {
		return shell.Usagef("there are no reports in the input")
	}
	slices.Sort(t.took)
	_, err := fmt.Fprintf(t.env.Stdout, "\n%s: %d changed, %d dropped, %d failed; %s at the median, %s at most (of %v); %v of memory are enough (of %v)\n",
		output.Count(len(t.took), "report"), t.changed, t.dropped, t.failed,
		shown(t.took[len(t.took)/2]), shown(t.took[len(t.took)-1]), settings.Timeout, t.need, settings.Memory)
	if err == nil && t.failed > 0 {
		err = shell.Exit(shell.ExitRefused, fmt.Errorf("the script failed on %s", output.Count(t.failed, "report")))
	}
	return err
}

// shown is a short time in milliseconds.
func shown(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}
