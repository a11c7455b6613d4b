// Package care holds the commands that take care of a gateway's data: backups, and what
// a damaged log can still give.
package care

import (
	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/cli/shell"
)

// Commands returns the commands in the order of the help.
func Commands(env shell.Env) []*cobra.Command {
	return []*cobra.Command{newReload(env), newBackup(env), newRestore(env), newGaps(env)}
}
