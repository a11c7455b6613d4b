// Package ops holds the commands that look after a gateway which runs: its log,
// its flow and its memory.
package ops

import (
	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/cli/shell"
)

// Commands returns the commands in the order of the help.
func Commands(env shell.Env) []*cobra.Command {
	return []*cobra.Command{newTop(env), newLog(env), newHeap(env), newSupportBundle(env)}
}
