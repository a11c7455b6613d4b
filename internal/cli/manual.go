package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Reference returns the manual of all commands of the program in Markdown, as it
// stands in docs/cli.md.
func Reference(env Env, program Program) string {
	var b strings.Builder
	b.WriteString(`# The command line

Generated from the commands' own help; a test holds it to them. What a command
prints to standard output is data, messages go to standard error.

## Exit codes

| code | meaning |
|---|---|
`)
	for _, row := range exitMeanings {
		fmt.Fprintf(&b, "| %d | %s |\n", row.code, row.meaning)
	}
	fmt.Fprintf(&b, `
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
`, envURL, envToken, envTokenFile, envCA, envData, "`"+defaultData+"`")
	describe(&b, newRoot(env, program))
	return b.String()
}

// describe writes the help of a command and of those below it.
func describe(b *strings.Builder, cmd *cobra.Command) {
	if cmd.HasParent() {
		fmt.Fprintf(b, "\n### %s\n\n```text\n", cmd.CommandPath())
		cmd.SetOut(b)
		cmd.InitDefaultHelpFlag()
		help(cmd, nil)
		b.WriteString("```\n")
	}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			describe(b, sub)
		}
	}
}
