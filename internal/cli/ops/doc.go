// Package ops holds the commands of who operates a gateway that runs: where its
// reports go, and what was refused on the way.
package ops

import (
	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/cli/shell"
)

// Commands returns the commands in the order of the help.
func Commands(env shell.Env) []*cobra.Command {
	return []*cobra.Command{newSinks(env), newQuarantine(env)}
}
