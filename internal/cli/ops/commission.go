package ops

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/apiclient"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
)

func newCommission(env shell.Env) *cobra.Command {
	var at shell.Remote
	var asJSON bool
	var length, every time.Duration
	var file string
	cmd := &cobra.Command{
		Use:   "commission CONTROLLER",
		Short: "Check a new connection for a while, and keep a record",
		Long: `Check a new connection for a while: whether reports come and are taken, the signal,
checksum errors on the link and its line, the sequence, the clock, and that each
point of the controller is seen.

The record says pass or fail for each. It is written to a file and kept by the
gateway. The exit code is 0 only for a pass. What a link cannot tell is unknown,
and fails nothing: a signal that is not told belongs into the record by hand.`,
		Example: "  penstock commission pump-17\n  penstock commission pump-17 --for 10m --every 30s --file pump-17.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if length <= 0 || every < 0 {
				return shell.Usagef("--for needs a duration such as 5m, and --every may not be negative")
			}
			client, err := at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			ctx, stop := env.Signals(cmd.Context())
			defer stop()
			order := apiclient.CommissionOrder{For: length.String()}
			if every > 0 {
				order.Every = every.String()
			}
			record, err := client.Commission(ctx, args[0], order)
			if err != nil {
				return err
			}
			fmt.Fprintf(env.Stderr, "Checking %s until %s.\n", output.Clean(args[0]), output.Clean(record.Ends))
			if record, err = await(ctx, env, client, record, length); err != nil {
				return err
			}
			if err := keep(env, file, &record); err != nil {
				return err
			}
			if err := show(env, asJSON, record, func(w io.Writer) { printRecord(w, &record) }); err != nil || record.Passed {
				return err
			}
			return shell.Exit(shell.ExitFailed, fmt.Errorf("%s did not pass", output.Clean(args[0])))
		},
	}
	cmd.Flags().DurationVar(&length, "for", time.Minute, "the `DURATION` to check")
	cmd.Flags().DurationVar(&every, "every", 0, "the longest `DURATION` that a point may be away (default: it is seen at all)")
	cmd.Flags().StringVar(&file, "file", "", "`FILE` to write the record to (default: commission-CONTROLLER-TIME.json here)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	at.Register(cmd.Flags())
	return cmd
}

// await asks for the record until it is done.
func await(ctx context.Context, env shell.Env, client *apiclient.Client, begun apiclient.Commissioning, length time.Duration) (apiclient.Commissioning, error) {
	const patience = 20 // answers beyond its time
	for wait, late := length, 0; late < patience; wait = time.Second {
		if err := env.Pause(ctx, wait); err != nil {
			return begun, err
		}
		records, err := client.Commissionings(ctx, begun.Controller)
		if err != nil {
			return begun, err
		}
		for _, r := range records {
			if r.ID == begun.ID && r.Done {
				return r, nil
			}
		}
		late++
	}
	return begun, penstock.Errorf(penstock.Unavailable, "the gateway has no record of it: it was started again meanwhile; check once more")
}

// keep writes the record into a file of its own; one that is there already stays.
func keep(env shell.Env, file string, r *apiclient.Commissioning) (err error) {
	if file == "" {
		file = fmt.Sprintf("commission-%s-%s.json", fileName(r.Controller), env.Now().UTC().Format("20060102T150405Z"))
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return shell.Usagef("the record: %w; the gateway keeps it, and 'penstock commission' prints it with --json", err)
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	if err := output.JSON(f, r); err != nil {
		return err
	}
	fmt.Fprintf(env.Stderr, "The record is in %s, and the gateway keeps it.\n", file)
	return nil
}

// fileName returns the name with everything that could trouble a file system made a
// hyphen.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, name)
}

func printRecord(w io.Writer, r *apiclient.Commissioning) {
	result := "FAIL"
	if r.Passed {
		result = "PASS"
	}
	fmt.Fprintf(w, "%s  %s", result, output.Clean(r.Controller))
	for _, part := range [][2]string{{"site", r.Site}, {"line", r.Line}, {"source", r.Source}, {"link", r.LinkType}} {
		if part[1] != "" {
			fmt.Fprintf(w, " · %s %s", part[0], output.Clean(part[1]))
		}
	}
	fmt.Fprintf(w, "\nfrom %s to %s\n", r.Begun, r.Ends)
	for _, c := range r.Checks {
		fmt.Fprintf(w, "  %-8s %-22s %s\n", c.Result, c.Name, output.Clean(c.Says))
	}
}
