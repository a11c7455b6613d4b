package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/cli/manual"
	"github.com/penstock/penstock/internal/cli/shell"
)

func newMan(m manual.Manual) *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual pages of all commands to a directory",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return m.WritePages(cmd.Root(), args[0])
		},
	}
}

// Reference returns the manual of all commands of the program in Markdown, as it
// stands in docs/cli.md.
func Reference(env shell.Env, program Program) string {
	exits, commands := manual.Manual{Version: env.Version, Exits: shell.ExitCodes()}.Markdown(newRoot(env, program))
	return `# The command line

Generated from the commands' own help; a test holds it to them. What a command
prints to standard output is data, messages go to standard error.

## Exit codes

` + exits + fmt.Sprintf(`
## How a command finds the gateway

Commands that concern a running gateway use its HTTP API. Each setting comes from
the first of these that has it:

| | flag | variable | data directory DIR |
|---|---|---|---|
| address | `+"`--url` | `%s` | `run/addresses.json`"+` |
| token | `+"`--token`, `--token-file` | `%s`, `%s` | `admin.token`"+` |
| certificate | `+"`--ca` | `%s` | `tls/cert.pem`"+`, else those of the system |
| DIR itself | `+"`--data` | `%s`"+` | %s |

A configuration key of the gateway has a variable too: see the table of keys.

## Commands
`, shell.EnvURL, shell.EnvToken, shell.EnvTokenFile, shell.EnvCA, shell.EnvData, "`"+shell.DefaultData+"`") + commands
}
