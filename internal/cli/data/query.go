package data

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/apiclient"
	"github.com/penstock/penstock/internal/cli/manual"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
	"github.com/penstock/penstock/internal/config"
)

// queryFlags are the flags of query as they were given.
type queryFlags struct {
	apiclient.Query
	last, step string
	format     string
}

func newQuery(env shell.Env) *cobra.Command {
	var at shell.Remote
	var flags queryFlags
	cmd := &cobra.Command{
		Use:   "query [CONTROLLER[/POINT]]",
		Short: "Read samples: the latest, a range, or aggregates",
		Long: `Read samples. Without a time it is the latest one of each point; with --last, or
--from and --to, all samples of that range; with --step and --agg one value a
step. '*' stands for any run of characters.`,
		Example: `  penstock query
  penstock query pump-17/flow --last 1h
  penstock query 'pump-*/flow' --last 1d --step 1h --agg max
  penstock query pump-17 --from 2026-11-22T06:00:00Z --to 2026-11-22T07:00:00Z -o csv`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.resolve(args); err != nil {
				return err
			}
			rows, err := output.NewSamples(env.Stdout, flags.format)
			if err != nil {
				return shell.Exit(shell.ExitUsage, err)
			}
			client, err := at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			cut, err := client.Samples(cmd.Context(), flags.Query, rows.Row)
			if err != nil {
				return err
			}
			if cut {
				fmt.Fprintf(env.Stderr, "There is more: --limit cut it after %d samples.\n", flags.Limit)
			}
			return rows.End()
		},
	}
	f := cmd.Flags()
	f.StringVarP(&flags.format, "output", "o", "table", "`FORMAT`: "+output.Formats)
	f.StringVar(&flags.Controller, "controller", "", "`NAME` of the controller, in place of the argument")
	f.StringVar(&flags.Point, "point", "", "`NAME` of the point, in place of the argument")
	f.IntVar(&flags.Limit, "limit", 0, "most `SAMPLES`; 0 for all")
	f.StringVar(&flags.Time, "time", "rfc3339", "`FORM` of times: rfc3339 or ns")
	f.StringVar(&flags.last, "last", "", "the `DURATION` before now: 15m, 1h, 3d")
	f.StringVar(&flags.From, "from", "", "first `TIME`: RFC 3339, nanoseconds, or relative to now (-1h)")
	f.StringVar(&flags.To, "to", "", "first `TIME` that is not wanted any more; now when left out")
	f.StringVar(&flags.step, "step", "", "one value for each `DURATION`: 1m, 1h, 1d")
	f.StringVar(&flags.Agg, "agg", "", "`HOW` the values of a step become one: min, max, avg, sum, count, first or last (default avg)")
	manual.InGroup(f, "Range", "last", "from", "to")
	manual.InGroup(f, "Aggregates", "step", "agg")
	at.Register(f)
	return cmd
}

// resolve makes one query of the argument and the flags.
func (q *queryFlags) resolve(args []string) error {
	if len(args) == 1 {
		if q.Controller != "" || q.Point != "" {
			return shell.Usagef("the controller is given twice: as an argument and by --controller or --point")
		}
		q.Controller, q.Point, _ = strings.Cut(args[0], "/")
	}
	if err := q.resolveTimes(); err != nil {
		return err
	}
	q.Latest = q.From == ""
	return q.consistent()
}

// consistent refuses flags that make no sense together.
func (q *queryFlags) consistent() error {
	switch {
	case q.Agg != "" && q.Step == "":
		return shell.Usagef("--agg needs --step, as in --step 1h")
	case q.Latest && (q.To != "" || q.Step != ""):
		return shell.Usagef("say from when: --last 1h, or --from TIME")
	case q.Limit < 0:
		return shell.Usagef("--limit needs a number from 0")
	case q.Time != "rfc3339" && q.Time != "ns":
		return shell.Usagef("--time takes rfc3339 or ns, not %q", q.Time)
	}
	return nil
}

// resolveTimes turns durations into what the gateway understands.
func (q *queryFlags) resolveTimes() error {
	if q.last != "" {
		if q.From != "" || q.To != "" {
			return shell.Usagef("--last goes without --from and --to")
		}
		d, err := config.ParseDuration(q.last)
		if err != nil || d == 0 {
			return shell.Usagef("--last needs a duration such as 1h or 3d, not %q", q.last)
		}
		q.From = "-" + d.String()
	}
	if q.step != "" {
		d, err := config.ParseDuration(q.step)
		if err != nil || d < time.Nanosecond {
			return shell.Usagef("--step needs a duration such as 1m or 1h, not %q", q.step)
		}
		q.Step, q.Agg = d.String(), shell.First(q.Agg, "avg")
	}
	return nil
}
