// Package setup holds the commands with which an operator sets a machine up and
// finds out what is wrong with it. They work without a running gateway.
package setup

import (
	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/cli/shell"
)

// InstalledConfig is the configuration of an installed gateway.
const InstalledConfig = "/etc/penstock/penstock.yaml"

// Parts are what the commands start. A part that is nil has no command.
type Parts struct {
	Doctor  Doctor
	Gateway *Gateway
}

// Commands returns the commands in the order of the help.
func Commands(env shell.Env, p Parts) []*cobra.Command {
	var all []*cobra.Command
	if p.Doctor != nil {
		all = append(all, newDoctor(env, p.Doctor))
	}
	if p.Gateway != nil {
		all = append(all, newInstall(env, p.Gateway), newUninstall(env), newUpgrade(env, p.Gateway))
	}
	return all
}
