package care

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/apiclient"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
)

func newGaps(env shell.Env) *cobra.Command {
	var at shell.Remote
	var lost, asJSON bool
	cmd := &cobra.Command{
		Use:   "gaps [CONTROLLER]",
		Short: "Show which sequence numbers are missing, and give them up",
		Long: `Show which sequence numbers have not come although newer ones have, of all
controllers or of those whose names match.

While there is a gap, the committed watermark waits before it, and the controller
keeps all reports behind it. It closes by itself when the controller sends what is
missing. What a controller has no more, as after the restore of a backup, never comes:
--declare-lost gives it up, for good. What comes of it after all is then refused.

The exit code is 6 when something is missing.`,
		Example: "  penstock gaps\n  penstock gaps pump-17 --declare-lost\n  penstock gaps '*' --declare-lost",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			controller := ""
			if len(args) == 1 {
				controller = args[0]
			}
			if lost && controller == "" {
				return shell.Usagef("say whose gaps are lost: a name, a pattern, or '*' for all")
			}
			client, err := at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			ask := client.Care().Gaps
			if lost {
				ask = client.Care().DeclareLost
			}
			found, err := ask(cmd.Context(), controller)
			if err != nil {
				return err
			}
			if asJSON {
				err = output.JSON(env.Stdout, found)
			} else {
				err = printGaps(env, found)
			}
			if err != nil {
				return err
			}
			return verdict(env, found, lost)
		},
	}
	cmd.Flags().BoolVar(&lost, "declare-lost", false, "give up what is missing, for good")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	at.Register(cmd.Flags())
	return cmd
}

func printGaps(env shell.Env, found apiclient.Gaps) error {
	if r := found.Restored; r != nil {
		fmt.Fprintf(env.Stderr, "The gateway was restored from the backup of %s. Controllers that have not reported since show no gap yet.\n", r.Backup.Format(time.RFC3339))
	}
	if len(found.Gaps) == 0 {
		_, err := fmt.Fprintln(env.Stdout, "Nothing is missing.")
		return err
	}
	t := output.NewTable(env.Stdout, "CONTROLLER", "EPOCH", "FIRST", "LAST", "REPORTS")
	for _, g := range found.Gaps {
		if err := t.Row(g.Controller, g.Epoch, g.First, g.Last, g.Last-g.First+1); err != nil {
			return err
		}
	}
	return t.End()
}

func verdict(env shell.Env, found apiclient.Gaps, lost bool) error {
	if lost {
		fmt.Fprintf(env.Stderr, "%s declared lost.\n", output.Count(len(found.Gaps), "gap"))
		if found.More {
			return shell.Exit(shell.ExitDamaged, fmt.Errorf("there are more: run the command again"))
		}
		return nil
	}
	if len(found.Gaps) > 0 {
		return shell.Exit(shell.ExitDamaged, fmt.Errorf("sequence numbers are missing: the watermark of %s waits before them", output.Count(controllers(found), "controller")))
	}
	return nil
}

func controllers(found apiclient.Gaps) int {
	names := map[string]bool{}
	for _, g := range found.Gaps {
		names[g.Controller] = true
	}
	return len(names)
}
