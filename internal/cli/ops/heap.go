package ops

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
	"github.com/penstock/penstock/internal/heap"
	"github.com/penstock/penstock/internal/localsocket"
)

// module is whose functions a heap is told by.
const module = "github.com/penstock/penstock"

func newHeap(env shell.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "heap",
		Short: "See what is in a gateway's memory, and what grows in it",
		Long: `Take snapshots of the memory of a gateway that runs on this machine, and see what
grew between two of them. They go over the socket run/admin.sock in its data
directory, which only its own account and root can open.`,
		Args: shell.CommandArgs,
		RunE: shell.ShowHelp,
	}
	cmd.AddCommand(newHeapSnapshot(env), newHeapDiff(env))
	return cmd
}

// local adds the flag that says on which data directory a gateway runs, and returns
// what it is set to.
func local(cmd *cobra.Command, env shell.Env) func() string {
	data := cmd.Flags().String("data", "", "data `DIR` of the gateway (default: "+shell.DefaultData+"; $"+shell.EnvData+")")
	return func() string { return shell.First(*data, env.Getenv(shell.EnvData), shell.DefaultData) }
}

func newHeapSnapshot(env shell.Env) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Take a snapshot of a gateway's memory",
		Long: `Collect the garbage of a gateway, and write what is in use then, by the place in
the program that allocated it. Two snapshots are compared by 'penstock heap diff'.`,
		Example: "  penstock heap snapshot -o monday.json",
		Args:    shell.NoArgs,
	}
	data := local(cmd, env)
	cmd.Flags().StringVarP(&file, "output", "o", "", "write to `FILE` (default: standard output)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var taken bytes.Buffer
		if err := localsocket.Get(cmd.Context(), data(), "/heap", &taken); err != nil {
			return err
		}
		if file == "" {
			_, err := io.Copy(env.Stdout, &taken)
			return err
		}
		return os.WriteFile(file, taken.Bytes(), 0o600)
	}
	return cmd
}

func newHeapDiff(env shell.Env) *cobra.Command {
	var wait time.Duration
	var most int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "diff [BEFORE AFTER]",
		Short: "Say what grew between two snapshots",
		Long: `Compare two snapshots, and name the places in the program that had more memory in
use in the second one, the most first. Without files, take two of a gateway that
runs, some time apart.

What grows from day to day at the same load is a leak; what grew within a minute
may only be a burst that is on its way.`,
		Example: "  penstock heap diff --for 1m\n  penstock heap diff monday.json tuesday.json",
		Args:    cobra.RangeArgs(0, 2),
	}
	data := local(cmd, env)
	cmd.Flags().DurationVar(&wait, "for", time.Minute, "time between the two snapshots")
	cmd.Flags().IntVarP(&most, "number", "n", 10, "show so many `PLACES`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return shell.Usagef("give two snapshots, or none to take them now")
		}
		var both [2]heap.Snapshot
		for i := range both {
			if i == 1 && len(args) == 0 {
				if err := env.Pause(cmd.Context(), wait); err != nil {
					return err
				}
			}
			var taken bytes.Buffer
			if len(args) == 2 {
				text, err := os.ReadFile(args[i])
				if err != nil {
					return shell.Usagef("%w", err)
				}
				taken.Write(text)
			} else if err := localsocket.Get(cmd.Context(), data(), "/heap", &taken); err != nil {
				return err
			}
			if err := json.Unmarshal(taken.Bytes(), &both[i]); err != nil {
				return penstock.Errorf(penstock.Invalid, "this is no snapshot: %w", err)
			}
		}
		return showGrowth(env, both, most, asJSON)
	}
	return cmd
}

func showGrowth(env shell.Env, both [2]heap.Snapshot, most int, asJSON bool) error {
	grown := heap.Diff(both[0], both[1])
	grown = grown[:min(len(grown), max(most, 0))]
	if asJSON {
		return output.JSON(env.Stdout, grown)
	}
	if _, err := fmt.Fprintf(env.Stdout, "in use %s, after %s %s\n", output.Bytes(both[0].Bytes), both[1].Time.Sub(both[0].Time).Round(time.Second), output.Bytes(both[1].Bytes)); err != nil {
		return err
	}
	t := output.NewTable(env.Stdout, "GREW", "OBJECTS", "IN USE", "WHERE")
	for _, g := range grown {
		if err := t.Row("+"+output.Bytes(g.Grown), fmt.Sprintf("%+d", g.Created), output.Bytes(g.Bytes), g.Name(module)); err != nil {
			return err
		}
	}
	return t.End()
}
