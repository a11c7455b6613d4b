package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/cli/care"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
)

// SpoolReader reads the spool of a gateway, below its data directory, and changes
// nothing. Errors mean that it could not look.
type SpoolReader interface {
	// Inspect reads every byte, calls each with every frame in order, and returns
	// what it found. It ends with the first error of each.
	Inspect(ctx context.Context, at SpoolPlace, each func(SpoolFrame) error) (SpoolReport, error)
}

// SpoolPlace says where a spool and its keys are.
type SpoolPlace struct {
	Data string // data directory
	Keys string // directory of the key-encryption key; empty when it is in the data directory
}

// SpoolReport is what a spool holds and what is wrong with it.
type SpoolReport struct {
	Segments int               `json:"segments"`
	Frames   int               `json:"frames"`
	Entries  int               `json:"entries"` // readable
	Bytes    int64             `json:"bytes"`
	First    penstock.Position `json:"first"` // of an entry; 0 when there is none
	Last     penstock.Position `json:"last"`
	Damage   []SpoolDamage     `json:"damage"`
	Notes    []string          `json:"notes"` // what else a person should know
	Sound    bool              `json:"sound"` // nothing is damaged or missing
}

// SpoolDamage is a part that is not as it was written.
type SpoolDamage struct {
	Path string   `json:"path"`
	From int64    `json:"from"` // byte of the file
	To   int64    `json:"to"`   // the byte behind it
	What string   `json:"what"`
	Lost []string `json:"lost"` // the entries that cannot be read for it, as far as known
}

// SpoolFrame is one frame.
type SpoolFrame struct {
	Segment uint64            `json:"segment"`
	Offset  int64             `json:"offset"` // in the file
	Size    int64             `json:"size"`
	Number  uint64            `json:"number"`
	Type    string            `json:"type"`  // opening, batch, mark or seal
	First   penstock.Position `json:"first"` // of its first entry, or of the next one to come
	Entries int               `json:"entries"`
	Acked   uint64            `json:"acked"` // the frame through which all was durable when it was written
	Time    time.Time         `json:"time"`
	Void    bool              `json:"void"` // its entries count no more
	Origin  string            `json:"origin,omitempty"`
}

func newSpool(env shell.Env, reader SpoolReader) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "spool",
		Short: "Verify, mend and read the durable log, without a gateway",
		Args:  shell.CommandArgs,
		RunE:  shell.ShowHelp,
	}
	cmd.AddCommand(newSpoolVerify(env, reader), newSpoolInspect(env, reader))
	cmd.AddCommand(care.SpoolCommands(env)...)
	return cmd
}

func newSpoolVerify(env shell.Env, reader SpoolReader) *cobra.Command {
	var asJSON bool
	var at SpoolPlace
	cmd := &cobra.Command{
		Use:   "verify DIR",
		Short: "Read every byte and say what is damaged",
		Long: `Read every byte of the spool below the data directory DIR and say what is
damaged and what it held. Nothing is changed. The exit code is 6 when anything is
not as it was written.

It may run beside the gateway; it may then take what is being written for damage.`,
		Example: "  penstock spool verify penstock-data",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			at.Data = args[0]
			r, err := reader.Inspect(cmd.Context(), at, func(SpoolFrame) error { return nil })
			if err != nil {
				return err
			}
			if asJSON {
				err = output.JSON(env.Stdout, r)
			} else {
				_, err = fmt.Fprint(env.Stdout, r)
			}
			return errors.Join(err, r.unsound())
		},
	}
	cmd.Flags().StringVar(&at.Keys, "keys", "", "`DIR` of the key-encryption key, where the configuration keeps it apart")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// String returns the report for people, with the damage line by line.
func (r SpoolReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, %d readable entries, %d bytes", output.Count(r.Segments, "segment"), output.Count(r.Frames, "frame"), r.Entries, r.Bytes)
	if r.Last > 0 {
		fmt.Fprintf(&b, ", positions %d to %d", r.First, r.Last)
	}
	b.WriteString("\n")
	for _, d := range r.Damage {
		fmt.Fprintf(&b, "%s: bytes %d to %d are damaged: %s\n", output.Clean(d.Path), d.From, d.To, output.Clean(d.What))
		for _, entry := range d.Lost {
			fmt.Fprintf(&b, "  lost %s\n", output.Clean(entry))
		}
	}
	for _, text := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", output.Clean(text))
	}
	return b.String()
}

// unsound returns the error that something is not as it was written.
func (r SpoolReport) unsound() error {
	if r.Sound {
		return nil
	}
	text := "the spool is not as it was written, but no entry is lost"
	if slices.ContainsFunc(r.Damage, func(d SpoolDamage) bool { return len(d.Lost) > 0 }) {
		text = "entries are lost; when the gateway starts it asks the controllers for these reports again"
	}
	return shell.Exit(shell.ExitDamaged, fmt.Errorf("%s. Keep a copy of the directory before anything else", text))
}

func newSpoolInspect(env shell.Env, reader SpoolReader) *cobra.Command {
	var asJSON bool
	var at SpoolPlace
	cmd := &cobra.Command{
		Use:     "inspect DIR",
		Short:   "List every frame",
		Example: "  penstock spool inspect penstock-data\n  penstock spool inspect penstock-data --json | jq 'select(.void)'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			at.Data = args[0]
			if asJSON {
				lines := json.NewEncoder(env.Stdout)
				_, err := reader.Inspect(cmd.Context(), at, func(f SpoolFrame) error { return lines.Encode(f) })
				return err
			}
			t := output.NewTable(env.Stdout, "SEGMENT", "FRAME", "OFFSET", "SIZE", "TYPE", "FIRST", "ENTRIES", "ACKED", "TIME", "REMARK")
			_, err := reader.Inspect(cmd.Context(), at, func(f SpoolFrame) error {
				remark := f.Origin
				if f.Void {
					remark = "void"
				}
				return t.Row(f.Segment, f.Number, f.Offset, f.Size, f.Type, f.First, f.Entries, f.Acked, f.Time.UTC().Format(time.RFC3339Nano), remark)
			})
			return errors.Join(err, t.End())
		},
	}
	cmd.Flags().StringVar(&at.Keys, "keys", "", "`DIR` of the key-encryption key, where the configuration keeps it apart")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print NDJSON, an object a frame")
	return cmd
}
