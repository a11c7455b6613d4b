package ops

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/apiclient"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
)

func newSinks(env shell.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sinks",
		Short: "Show where reports go, and pause, resume or replay a sink",
		Long: `Show where reports go: how each sink stands, and what waits for it. A sink that is
paused, or in trouble, holds up no other; what it needs waits in the spool.`,
		Args: shell.CommandArgs,
		RunE: shell.ShowHelp,
	}
	cmd.AddCommand(newSinksList(env), newSinksPause(env), newSinksResume(env), newSinksReplay(env))
	return cmd
}

func newSinksList(env shell.Env) *cobra.Command {
	var at shell.Remote
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show how the sinks stand",
		Long: `Show how the sinks stand, the system of record (*) first.

BACKLOG is what waits: entries of the spool, their bytes there, the age of the
oldest. DROPPED counts what a sink will never get, because the spool had no room
for it or lost it.`,
		Example: "  penstock sinks list\n  penstock sinks list --json",
		Args:    shell.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			sinks, err := client.Delivery().Sinks(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return output.JSON(env.Stdout, map[string]any{"sinks": sinks})
			}
			return printSinks(env, sinks)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	at.Register(cmd.Flags())
	return cmd
}

func printSinks(env shell.Env, sinks []apiclient.Sink) error {
	t := output.NewTable(env.Stdout, "SINK", "STATE", "BACKLOG", "BYTES", "AGE", "DELIVERED", "QUARANTINED", "DROPPED", "WHY")
	for _, s := range sinks {
		name := s.Name
		if s.Main {
			name += " *"
		}
		age := time.Duration(s.Backlog.Seconds * float64(time.Second)).Round(time.Second)
		why := shell.First(s.Alarm, s.Why)
		err := t.Row(name, s.State, s.Backlog.Reports, s.Backlog.Bytes, age, s.Books.Delivered, s.Books.Quarantined, s.Books.Dropped, why)
		if err != nil {
			return err
		}
	}
	return t.End()
}

func newSinksPause(env shell.Env) *cobra.Command {
	return newAct(env, &cobra.Command{
		Use:   "pause SINK",
		Short: "Stop delivery to a sink until it is resumed",
		Long: `Stop delivery to a sink until it is resumed, also over a restart. What it needs
waits in the spool, within the quota: pause the system of record for too long, and
new reports are refused.`,
		Example: "  penstock sinks pause broker",
	}, func(ctx context.Context, c *apiclient.Client, sink string) error {
		return c.Delivery().Pause(ctx, sink)
	}, "Sink %s is paused.\n")
}

func newSinksResume(env shell.Env) *cobra.Command {
	return newAct(env, &cobra.Command{
		Use:     "resume SINK",
		Short:   "Go on with delivery to a sink",
		Example: "  penstock sinks resume broker",
	}, func(ctx context.Context, c *apiclient.Client, sink string) error {
		return c.Delivery().Resume(ctx, sink)
	}, "Sink %s goes on.\n")
}

// newAct makes cmd do one thing with the sink that its argument names, and then say
// done.
func newAct(env shell.Env, cmd *cobra.Command, act func(context.Context, *apiclient.Client, string) error, done string) *cobra.Command {
	var at shell.Remote
	cmd.Args = cobra.ExactArgs(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := at.Client(env)
		if err != nil {
			return err
		}
		defer client.Close()
		if err := act(cmd.Context(), client, args[0]); err != nil {
			return err
		}
		_, err = fmt.Fprintf(env.Stderr, done, output.Clean(args[0]))
		return err
	}
	at.Register(cmd.Flags())
	return cmd
}

func newSinksReplay(env shell.Env) *cobra.Command {
	var at shell.Remote
	var since string
	cmd := &cobra.Command{
		Use:   "replay SINK --since TIME",
		Short: "Deliver everything to a sink once more that was accepted since a time",
		Long: `Deliver everything to a sink once more that was accepted since a time, behind new
reports and marked as historical. It is refused when the spool does not have all of
that any more, and for a record, which has each report once.`,
		Example: "  penstock sinks replay broker --since 2026-01-01T12:00:00Z\n  penstock sinks replay broker --since 2h",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := moment(since, env.Now())
			if err != nil {
				return err
			}
			client, err := at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			position, err := client.Delivery().Replay(cmd.Context(), args[0], from)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Stderr, "Sink %s is given everything again from position %d on.\n", output.Clean(args[0]), position)
			return err
		},
	}
	cmd.Flags().StringVar(&since, "since", "", "`TIME` as in 2026-01-01T12:00:00Z, or how long ago as in 2h")
	at.Register(cmd.Flags())
	return cmd
}

// moment reads a time, or how long ago it was.
func moment(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, shell.Usagef("--since takes a time as in 2026-01-01T12:00:00Z, or how long ago as in 2h")
	}
	return t, nil
}
