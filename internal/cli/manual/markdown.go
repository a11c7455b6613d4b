package manual

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Markdown returns the table of exit codes, and the help of every command below
// root, each under a title.
func (m Manual) Markdown(root *cobra.Command) (exits, commands string) {
	var table, all strings.Builder
	table.WriteString("| code | meaning |\n|---|---|\n")
	for _, row := range m.Exits {
		fmt.Fprintf(&table, "| %d | %s |\n", row.Code, row.Meaning)
	}
	m.describe(&all, root)
	return table.String(), all.String()
}

// describe writes the help of a command and of those below it.
func (m Manual) describe(b *strings.Builder, cmd *cobra.Command) {
	if cmd.HasParent() {
		fmt.Fprintf(b, "\n### %s\n\n```text\n", cmd.CommandPath())
		cmd.InitDefaultHelpFlag()
		m.Help(b, cmd)
		b.WriteString("```\n")
	}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			m.describe(b, sub)
		}
	}
}
