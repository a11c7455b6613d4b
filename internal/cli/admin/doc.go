// Package admin holds the commands that administer a gateway which runs.
package admin

import (
	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/cli/shell"
)

// Commands returns the commands in the order of the help.
func Commands(env shell.Env) []*cobra.Command {
	return []*cobra.Command{newControllers(env), newLedger(env), newLinks(env)}
}
