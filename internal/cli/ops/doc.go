// Package ops holds the commands that look after a plant and a gateway that
// run: where a fault is, where reports go and what was refused on the way, and the
// gateway's log, flow and memory.
package ops

import (
	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/cli/shell"
)

// Commands returns the commands in the order of the help.
func Commands(env shell.Env) []*cobra.Command {
	return []*cobra.Command{
		newTop(env), newDiagnose(env), newCommission(env), newSinks(env), newQuarantine(env),
		newLog(env), newHeap(env), newSupportBundle(env),
	}
}
