// Package manual shows the commands of a program to people: as help on the
// terminal, as manual pages and as Markdown, all from the commands themselves.
package manual

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagGroup is the annotation that says under which title a flag stands.
const flagGroup = "group"

// ExitCode is a line of the table of exit codes.
type ExitCode struct {
	Code    int
	Meaning string
}

// Manual shows the commands of one program.
type Manual struct {
	Version string
	Exits   []ExitCode
}

// InGroup puts flags under a title of their own in the help.
func InGroup(flags *pflag.FlagSet, title string, names ...string) {
	for _, name := range names {
		f := flags.Lookup(name)
		if f.Annotations == nil {
			f.Annotations = map[string][]string{}
		}
		f.Annotations[flagGroup] = []string{title}
	}
}

// Help prints what a command does, how it is written and what it answers.
func (m Manual) Help(out io.Writer, cmd *cobra.Command) {
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	fmt.Fprintf(out, "%s\n\nUsage:\n  %s\n", strings.TrimSpace(text), usageLine(cmd))
	if cmd.Example != "" {
		fmt.Fprintf(out, "\nExamples:\n%s\n", strings.TrimRight(cmd.Example, "\n"))
	}
	helpCommands(out, cmd)
	for _, title := range flagTitles(cmd) {
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		flags.SortFlags = false
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if titleOf(f) == title {
				flags.AddFlag(f)
			}
		})
		fmt.Fprintf(out, "\n%s:\n%s", title, flags.FlagUsages())
	}
	if !cmd.HasParent() {
		fmt.Fprintf(out, "\nExit codes:\n")
		for _, row := range m.Exits {
			fmt.Fprintf(out, "  %3d  %s\n", row.Code, row.Meaning)
		}
		fmt.Fprintf(out, "\nSee 'penstock COMMAND --help' for one command.\n")
	}
}

// usageLine returns how a command is called. One that holds others and works by
// itself too says so: Use is "doctor [COMMAND]".
func usageLine(cmd *cobra.Command) string {
	if cmd.HasAvailableSubCommands() && cmd.Use == cmd.Name() {
		return cmd.CommandPath() + " COMMAND"
	}
	return cmd.UseLine()
}

func helpCommands(out io.Writer, cmd *cobra.Command) {
	list := func(title, group string) {
		var lines strings.Builder
		for _, sub := range cmd.Commands() {
			if sub.GroupID == group && sub.IsAvailableCommand() {
				fmt.Fprintf(&lines, "  %-*s  %s\n", cmd.NamePadding(), sub.Name(), sub.Short)
			}
		}
		if lines.Len() > 0 {
			fmt.Fprintf(out, "\n%s:\n%s", title, lines.String())
		}
	}
	for _, group := range cmd.Groups() {
		list(group.Title, group.ID)
	}
	list("Commands", "")
}

func titleOf(f *pflag.Flag) string {
	if group := f.Annotations[flagGroup]; len(group) > 0 {
		return group[0]
	}
	if f.Name == "help" {
		return "Help"
	}
	return "Flags"
}

// flagTitles returns the titles of a command's flags in the order in which the
// flags were declared, the help last.
func flagTitles(cmd *cobra.Command) []string {
	cmd.Flags().SortFlags = false
	cmd.LocalFlags().SortFlags = false
	var titles []string
	seen := map[string]bool{"Help": true}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if title := titleOf(f); !seen[title] && !f.Hidden {
			seen[title] = true
			titles = append(titles, title)
		}
	})
	return append(titles, "Help")
}
