// Package scripts holds the commands for who writes a script of the pipeline. They
// need no gateway.
package scripts

import (
	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/cli/shell"
)

// Commands returns the commands in the order of the help.
func Commands(env shell.Env) []*cobra.Command {
	cmd := &cobra.Command{
		Use:   "script",
		Short: "Try the script of the pipeline on recorded reports",
		Long: `Try a script before a gateway runs it: a JavaScript file that exports
onReport(report, ctx), as the step script of the pipeline takes it.`,
		Args: shell.CommandArgs,
		RunE: shell.ShowHelp,
	}
	cmd.AddCommand(newTest(env))
	return []*cobra.Command{cmd}
}
