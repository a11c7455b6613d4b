package care

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/offline"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
)

// SpoolCommands returns the commands for a spool that is damaged.
func SpoolCommands(env shell.Env) []*cobra.Command {
	return []*cobra.Command{newSpoolRepair(env), newSpoolExport(env)}
}

func newSpoolRepair(env shell.Env) *cobra.Command {
	var at offline.SpoolAt
	var yes bool
	cmd := &cobra.Command{
		Use:   "repair DIR",
		Short: "Mend a log that the gateway refuses to start on",
		Long: `Say what it takes for a gateway to start on the log below the data directory DIR, and
with --yes do it. No gateway may run on it.

Nothing is deleted: what cannot be read is moved to a directory beside the log. Every
frame that can be read stays where it is, and is delivered. Where a segment is missing,
an empty one stands for it: its reports are told as damaged, and asked for again where
they are known. A segment that the disk cannot read through is replaced by a copy with
zeros for the bad sectors, and the original is kept.

A damaged frame alone needs no repair: the gateway starts, and deals with it.`,
		Example: "  penstock spool repair penstock-data\n  penstock spool repair penstock-data --yes",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			at.Data = args[0]
			if _, err := os.Stat(at.Data); err != nil {
				return shell.Usagef("%w", err)
			}
			plan, err := offline.PlanRepair(at, env.Now)
			if err != nil {
				return damagedArchive(err)
			}
			if len(plan.Steps) == 0 {
				_, err := fmt.Fprintln(env.Stdout, "There is nothing to repair: a gateway starts on this spool.")
				return err
			}
			for i, step := range plan.Steps {
				if _, err := fmt.Fprintf(env.Stdout, "%d. %s\n", i+1, output.Clean(step)); err != nil {
					return err
				}
			}
			if !yes {
				_, err := fmt.Fprintln(env.Stderr, "Nothing was changed. Make a copy of the directory, and say --yes to do it.")
				return err
			}
			if err := offline.Alone(at.Data, plan.Do); err != nil {
				return err
			}
			_, err = fmt.Fprintln(env.Stderr, "Done. Start the gateway; 'penstock spool verify' goes on to name what is lost until it is released.")
			return err
		},
	}
	cmd.Flags().StringVar(&at.Keys, "keys", "", "`DIR` of the key-encryption key, where the configuration keeps it apart")
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	return cmd
}

func newSpoolExport(env shell.Env) *cobra.Command {
	var at offline.SpoolAt
	var from, to uint64
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "export DIR",
		Short: "Write the reports of a log as NDJSON, to send them again",
		Long: `Write every report that can be read of the log below the data directory DIR as a line
of JSON, for 'penstock send': a gateway takes each once, however often it is sent. It
needs no gateway, changes nothing, and works on a log that is damaged, too.

The exit code is 6 when entries could not be read, or a report cannot be said in JSON;
each is named.`,
		Example: "  penstock spool export penstock-data -o rescued.ndjson\n  penstock spool export penstock-data --from 120000 | penstock send --url https://gateway:8080",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			at.Data = args[0]
			var out exportTo = exportTo{Writer: env.Stdout, close: func() error { return nil }}
			if file != "" {
				f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
				if err != nil {
					return shell.Usagef("%w", err)
				}
				out = exportTo{f, f.Close}
			}
			w := bufio.NewWriterSize(out, 256<<10)
			told, err := offline.Export(at, penstock.Position(from), penstock.Position(to), w)
			if err = errors.Join(err, w.Flush(), out.close()); err != nil {
				return damagedArchive(err)
			}
			return tellExported(env, told, asJSON && file != "")
		},
	}
	cmd.Flags().StringVar(&at.Keys, "keys", "", "`DIR` of the key-encryption key, where the configuration keeps it apart")
	cmd.Flags().StringVarP(&file, "output", "o", "", "write to `FILE`, which must not be there yet (default: standard output)")
	cmd.Flags().Uint64Var(&from, "from", 1, "first `POSITION`")
	cmd.Flags().Uint64Var(&to, "to", math.MaxUint64, "last `POSITION` (default: the end)")
	cmd.Flags().Lookup("to").DefValue = ""
	cmd.Flags().BoolVar(&asJSON, "json", false, "with -o, print the summary as JSON")
	return cmd
}

// exportTo is where an export goes.
type exportTo struct {
	io.Writer
	close func() error
}

func tellExported(env shell.Env, told offline.Exported, asJSON bool) error {
	if asJSON {
		if err := output.JSON(env.Stdout, told); err != nil {
			return err
		}
	}
	fmt.Fprintf(env.Stderr, "%s, the last at position %d\n", output.Count(told.Reports, "report"), told.Last)
	if told.Held > 0 {
		fmt.Fprintf(env.Stderr, "%d of them a step had sent to quarantine; sent again, the steps judge them again\n", told.Held)
	}
	for _, text := range told.Unsaid {
		fmt.Fprintf(env.Stderr, "JSON cannot say %s\n", output.Clean(text))
	}
	for _, text := range told.Lost {
		fmt.Fprintf(env.Stderr, "lost: %s\n", output.Clean(text))
	}
	if told.LostMore > 0 {
		fmt.Fprintf(env.Stderr, "lost: %d positions more\n", told.LostMore)
	}
	for _, text := range told.Notes {
		fmt.Fprintf(env.Stderr, "note: %s\n", output.Clean(text))
	}
	if n := len(told.Lost) + len(told.Unsaid) + len(told.Notes); n > 0 || told.LostMore > 0 {
		return shell.Exit(shell.ExitDamaged, errors.New("not every entry of the log could be exported"))
	}
	return nil
}
