package cli

import (
	"github.com/spf13/cobra"
)

// newSource returns the command that a gateway starts itself with for a source that
// runs apart. The name is for whoever lists processes.
func newSource(run Apart) *cobra.Command {
	return &cobra.Command{
		Use:    "source -- NAME",
		Short:  "Run one source of the gateway that starts this command",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE:   func(cmd *cobra.Command, _ []string) error { return run(cmd.Context()) },
	}
}
