package care

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/apiclient"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
)

func newReload(env shell.Env) *cobra.Command {
	var at shell.Remote
	var dry, asJSON bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have a gateway read its configuration again",
		Long: `Have a gateway read its configuration again, and show each key that changed: its
value before and after, and what becomes of it. What did not change is not touched.
A configuration that does not hold changes nothing, and is named with line and
column. SIGHUP does the same, and the log shows it.

With --dry-run nothing is changed, and what less retention or a lower quota would
delete is shown before it happens.`,
		Example: "  penstock reload --dry-run\n  penstock reload",
		Args:    shell.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			told, err := client.Care().Reload(cmd.Context(), dry)
			if err != nil {
				return err
			}
			if asJSON {
				return output.JSON(env.Stdout, told)
			}
			return printReload(env, told)
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show what would change, and change nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	at.Register(cmd.Flags())
	return cmd
}

func printReload(env shell.Env, told apiclient.Reload) error {
	if len(told.Changes) == 0 {
		_, err := fmt.Fprintln(env.Stdout, "Nothing changed.")
		return err
	}
	t := output.NewTable(env.Stdout, "KEY", "BEFORE", "AFTER", "EFFECT")
	for _, c := range told.Changes {
		effect := c.Effect
		if c.Why != "" {
			effect += ": " + c.Why
		}
		if err := t.Row(c.Key, shell.First(c.Before, "-"), shell.First(c.After, "-"), effect); err != nil {
			return err
		}
	}
	if err := t.End(); err != nil {
		return err
	}
	for _, text := range told.Deletes {
		fmt.Fprintf(env.Stderr, "WARNING: %s.\n", output.Clean(text))
	}
	if told.Restart {
		fmt.Fprintln(env.Stderr, "What needs a restart takes hold at the next start of the gateway.")
	}
	if told.DryRun {
		fmt.Fprintln(env.Stderr, "Nothing was changed.")
	}
	return nil
}
