// Package data holds the commands that send reports and read samples.
package data

import (
	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/cli/shell"
)

// Commands returns the commands in the order of the help.
func Commands(env shell.Env) []*cobra.Command {
	return []*cobra.Command{newSend(env), newQuery(env), newTail(env)}
}
