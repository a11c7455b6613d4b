package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock"
)

// SpoolReader reads the spool of a gateway that does not run. It changes
// nothing.
type SpoolReader interface {
	// Verify reads every frame below the data directory and tells what it found.
	// The error means that it could not look.
	Verify(ctx context.Context, dir string) (SpoolVerdict, error)
	// Inspect calls each with every segment, in order.
	Inspect(ctx context.Context, dir string, each func(SpoolSegment) error) error
}

// SpoolVerdict is what a spool holds and what is wrong with it.
type SpoolVerdict struct {
	Segments int               `json:"segments"`
	Frames   int               `json:"frames"`
	Entries  int               `json:"entries"`
	Bytes    int64             `json:"bytes"`
	First    penstock.Position `json:"first"` // of an entry; 0 when there is none
	Last     penstock.Position `json:"last"`
	Damage   []SpoolDamage     `json:"damage"`
}

// SpoolDamage is one place that cannot be read.
type SpoolDamage struct {
	Segment string            `json:"segment"` // file
	Offset  int64             `json:"offset"`
	Length  int64             `json:"length"`
	First   penstock.Position `json:"first"` // of the entries that it held; 0 when not known
	Last    penstock.Position `json:"last"`
	Text    string            `json:"text"` // what is wrong
	Held    []string          `json:"held"` // identities of the reports that it held, as far as known
	Torn    bool              `json:"torn"` // never acknowledged: the end of a crash, and no loss
}

// SpoolSegment is one segment file.
type SpoolSegment struct {
	Name    string            `json:"name"`
	Bytes   int64             `json:"bytes"`
	Frames  int               `json:"frames"`
	Entries int               `json:"entries"`
	First   penstock.Position `json:"first"`
	Last    penstock.Position `json:"last"`
	Created string            `json:"created"` // RFC 3339
	State   string            `json:"state"`   // open, sealed or damaged
}

func newSpool(env Env, reader SpoolReader) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "spool",
		Short: "Verify and inspect the durable log of a gateway that does not run",
		Args:  commandArgs,
		RunE:  showHelp,
	}
	cmd.AddCommand(newSpoolVerify(env, reader), newSpoolInspect(env, reader))
	return cmd
}

func newSpoolVerify(env Env, reader SpoolReader) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify DIR",
		Short: "Read every byte and say what is damaged",
		Long: `Read every byte of the spool below the data directory DIR and say what is
damaged and what it held. Nothing is changed. The exit code is 6 when something
that was acknowledged cannot be read.`,
		Example: "  penstock spool verify penstock-data",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := reader.Verify(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(env.Stdout, v)
			} else {
				_, err = fmt.Fprint(env.Stdout, v.String())
			}
			return errors.Join(err, v.loss())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// String returns the verdict for people, with the damage line by line.
func (v SpoolVerdict) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, %s, %d bytes", plural(v.Segments, "segment"), plural(v.Frames, "frame"), entries(v.Entries), v.Bytes)
	if v.Last > 0 {
		fmt.Fprintf(&b, ", positions %d to %d", v.First, v.Last)
	}
	b.WriteString("\n")
	for _, d := range v.Damage {
		kind := "damaged"
		if d.Torn {
			kind = "torn by a crash, never acknowledged"
		}
		fmt.Fprintf(&b, "%s: bytes %d to %d %s: %s\n", clean(d.Segment), d.Offset, d.Offset+d.Length, kind, clean(d.Text))
		if d.Last > 0 {
			fmt.Fprintf(&b, "  held positions %d to %d\n", d.First, d.Last)
		}
		for _, identity := range d.Held {
			fmt.Fprintf(&b, "  held %s\n", clean(identity))
		}
	}
	return b.String()
}

func entries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

// loss returns the error that something acknowledged cannot be read.
func (v SpoolVerdict) loss() error {
	lost := 0
	for _, d := range v.Damage {
		if !d.Torn {
			lost++
		}
	}
	if lost == 0 {
		return nil
	}
	return &exitError{ExitDamaged, fmt.Errorf("%s damaged. Keep a copy of the directory; when the gateway starts it asks the controllers for these reports again", plural(lost, "place"))}
}

func newSpoolInspect(env Env, reader SpoolReader) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "inspect DIR",
		Short:   "List the segments and what they hold",
		Example: "  penstock spool inspect penstock-data",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var segments []SpoolSegment
			err := reader.Inspect(cmd.Context(), args[0], func(s SpoolSegment) error {
				segments = append(segments, s)
				return nil
			})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(env.Stdout, segments)
			}
			t := newTable(env.Stdout)
			fmt.Fprintln(t, "SEGMENT\tSTATE\tFIRST\tLAST\tENTRIES\tFRAMES\tBYTES\tCREATED") // errors come up at Flush
			for _, s := range segments {
				fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n", clean(s.Name), s.State, s.First, s.Last, s.Entries, s.Frames, s.Bytes, s.Created)
			}
			return t.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
