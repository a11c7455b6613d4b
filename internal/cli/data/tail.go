package data

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/apiclient"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
)

func newTail(env shell.Env) *cobra.Command {
	var at shell.Remote
	w := watcher{env: env}
	cmd := &cobra.Command{
		Use:   "tail [CONTROLLER[/POINT]]",
		Short: "Watch samples as they are stored",
		Long: `Watch samples as they are stored, until Ctrl-C. '*' stands for any run of
characters. When the connection breaks it goes on after the last report it saw;
what was missed is told on standard error.`,
		Example: "  penstock tail\n  penstock tail 'pump-*/flow'\n  penstock tail -o ndjson | jq .samples",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if w.format != "text" && w.format != "ndjson" {
				return shell.Usagef("%q is no format: -o takes text or ndjson", w.format)
			}
			if len(args) == 1 {
				w.watch.Controller, w.watch.Point, _ = strings.Cut(args[0], "/")
			}
			client, err := at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			ctx, stop := env.Signals(cmd.Context())
			defer stop()
			err = w.run(ctx, client)
			if ctx.Err() != nil {
				return nil // asked to stop, which is how it ends
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&w.format, "output", "o", "text", "`FORMAT`: text (a line a sample) or ndjson (a report a line)")
	cmd.Flags().IntVar(&w.limit, "count", 0, "end after so many `SAMPLES`, or reports with -o ndjson; 0 for never")
	at.Register(cmd.Flags())
	return cmd
}

// watcher follows the live stream over broken connections.
type watcher struct {
	env    shell.Env
	watch  apiclient.Watch
	format string
	limit  int

	shown int
	seen  bool // something came over the connection
}

var errEnough = errors.New("enough")

func (w *watcher) run(ctx context.Context, client *apiclient.Client) error {
	const longest = 15 * time.Second
	wait := time.Duration(0)
	for begin := true; ; begin = false {
		w.seen = false
		err := client.Stream(ctx, w.watch, w.event)
		if errors.Is(err, errEnough) {
			return nil
		}
		var unreachable *apiclient.Unreachable
		hopeless := errors.As(err, &unreachable) && (unreachable.Permanent || begin && !unreachable.Broken)
		if hopeless || !penstock.CodeOf(err).Temporary() {
			return err
		}
		if w.seen {
			wait = 0
		}
		wait = min(max(2*wait, 250*time.Millisecond), longest)
		wait = max(wait, penstock.RetryAfterOf(err))
		fmt.Fprintf(w.env.Stderr, "%v; connecting again in %s\n", err, wait)
		if err := w.env.Pause(ctx, wait); err != nil {
			return err
		}
	}
}

func (w *watcher) event(e apiclient.Event) error {
	w.seen = true
	if e.ID != "" {
		w.watch.After = e.ID
	}
	if e.Missed {
		many := "Reports"
		if e.Count != nil {
			many = output.Count(int(*e.Count), "report")
		}
		_, err := fmt.Fprintf(w.env.Stderr, "%s of all controllers went by unseen. They are stored: 'penstock query' has them.\n", many)
		return err
	}
	if w.format == "ndjson" {
		_, err := fmt.Fprintf(w.env.Stdout, "%s\n", e.RawData)
		return w.counted(err)
	}
	for _, s := range e.Report.Samples {
		status := ""
		if !s.Status.IsGood() {
			status = "  " + s.Status.String()
		}
		_, err := fmt.Fprintf(w.env.Stdout, "%s  %s/%s  %s%s%s\n", output.Plain(s.Time), output.Clean(e.Report.Controller), output.Clean(s.Point),
			output.Clean(output.Value(s.Value)), output.Clean(unitAfter(s.Unit)), status)
		if err := w.counted(err); err != nil {
			return err
		}
	}
	return nil
}

func (w *watcher) counted(err error) error {
	if w.shown++; err == nil && w.limit > 0 && w.shown >= w.limit {
		return errEnough
	}
	return err
}

func unitAfter(unit string) string {
	if unit == "" {
		return ""
	}
	return " " + unit
}
