package data

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
	"github.com/penstock/penstock/internal/cli/upload"
)

func newSend(env shell.Env) *cobra.Command {
	var at shell.Remote
	var asJSON bool
	o := upload.Options{Rand: env.Rand, Sleep: env.Pause}
	cmd := &cobra.Command{
		Use:   "send [FILE|-]",
		Short: "Send reports from a file or from standard input",
		Long: `Send reports from a file or from standard input: one JSON object, an array of
them, or one object after the other (NDJSON), of any length.

Sending the same input again is safe: a report is known by epoch and seq, by its
key, or by the times of its samples. Only a report with none of these is given a
key of this run; --key makes that safe to repeat too.

Refusals for now (busy, full, not reachable) are tried again for a while. The exit
code is 5 when a report was rejected.`,
		Example: `  penstock send readings.json
  echo '{"controller":"pump-17","samples":[{"point":"flow","value":12.5}]}' | penstock send
  tail -f readings.ndjson | penstock send --url https://gateway:8080 --token-file t`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			input, err := openInput(env, args)
			if err != nil {
				return err
			}
			if o.Batch < 1 || o.Batch > upload.MaxBatch {
				return shell.Usagef("--batch needs a number from 1 to %d", upload.MaxBatch)
			}
			defer input.Close() // it was only read
			client, err := at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			told := newProgress(env)
			defer told.end()
			o.Gateway, o.Progress, o.Say = client, told.show, told.say
			tally, err := upload.Send(cmd.Context(), input, o)
			told.end()
			return errors.Join(err, summary(env, tally, asJSON))
		},
	}
	cmd.Flags().DurationVar(&o.Patience, "retry-for", 2*time.Minute, "the `DURATION` for which a batch is tried again when it is refused for now")
	cmd.Flags().StringVar(&o.Key, "key", "", "begin of the `KEY`s of reports that have no identity (default: a random one)")
	cmd.Flags().IntVar(&o.Batch, "batch", 1000, "most `REPORTS` in one request")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the summary as JSON")
	at.Register(cmd.Flags())
	return cmd
}

func openInput(env shell.Env, args []string) (io.ReadCloser, error) {
	if len(args) == 1 && args[0] != "-" {
		file, err := os.Open(args[0])
		if err != nil {
			return nil, shell.Usagef("%w", err)
		}
		return file, nil
	}
	if f, ok := env.Stdin.(*os.File); ok && shell.IsTerminal(f) {
		fmt.Fprintln(env.Stderr, "Type reports in JSON, and end with Ctrl-D.")
	}
	return io.NopCloser(env.Stdin), nil
}

// summary prints what became of the reports; the error says that some were
// rejected.
func summary(env shell.Env, t upload.Tally, asJSON bool) error {
	var err error
	if asJSON {
		err = output.JSON(env.Stdout, t)
	} else {
		_, err = fmt.Fprintln(env.Stdout, t)
	}
	if err != nil || t.Rejected == 0 {
		return err
	}
	var text strings.Builder
	text.WriteString(output.Count(t.Rejected, "report") + " rejected:")
	for _, reason := range slices.Sorted(maps.Keys(t.Reasons)) {
		fmt.Fprintf(&text, " %d %s", t.Reasons[reason], output.Clean(reason))
	}
	for _, one := range t.Rejects {
		text.WriteString("\n  " + one)
	}
	if more := t.Rejected - len(t.Rejects); more > 0 {
		fmt.Fprintf(&text, "\n  and %d more", more)
	}
	return shell.Exit(shell.ExitRefused, errors.New(text.String()))
}
