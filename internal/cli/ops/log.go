package ops

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/apiclient"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
)

func newLog(env shell.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Change what the gateway logs, and see where its lines go",
		Long: `Change what a gateway logs while it runs, by component, and see how the outputs
of its log stand.`,
		Args: shell.CommandArgs,
		RunE: shell.ShowHelp,
	}
	cmd.AddCommand(newLogLevel(env), newLogOutputs(env))
	return cmd
}

func newLogLevel(env shell.Env) *cobra.Command {
	var at shell.Remote
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "level [COMPONENT] [LEVEL]",
		Short: "Show or change levels: debug, info, warn or error",
		Long: `Without arguments, show the level of each component. With a component and a
level, change it; the component 'all' stands for those that have no level of their
own, and the level 'default' has a component follow that of all again.

A change holds at once, until the gateway ends or reads its configuration again. A
single source is 'source NAME'; the component 'sources' is all of them.`,
		Example: "  penstock log level\n  penstock log level spool debug\n  penstock log level 'source line-3' debug\n  penstock log level spool default",
		Args:    cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return shell.Usagef("say the level of %q: debug, info, warn, error or default", args[0])
			}
			client, err := at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			if len(args) == 2 {
				component, level := args[0], args[1]
				if component == "all" {
					component = ""
				}
				if level == "default" {
					level = ""
				}
				return client.SetLogLevel(cmd.Context(), component, level)
			}
			log, err := client.Log(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return output.JSON(env.Stdout, log)
			}
			return printLevels(env, log)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	at.Register(cmd.Flags())
	return cmd
}

func printLevels(env shell.Env, log apiclient.Log) error {
	t := output.NewTable(env.Stdout, "COMPONENT", "LEVEL", "FOLLOWS")
	if err := t.Row("all", log.Level, "-"); err != nil {
		return err
	}
	for _, c := range log.Components {
		follows := "all"
		if strings.HasPrefix(c.Component, "source ") {
			follows = "sources"
		}
		if c.Own {
			follows = "-"
		}
		if err := t.Row(c.Component, c.Level, follows); err != nil {
			return err
		}
	}
	return t.End()
}

func newLogOutputs(env shell.Env) *cobra.Command {
	var at shell.Remote
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "outputs",
		Short: "Show where lines go, and what was dropped",
		Long: `Show each output of the log: whether lines arrive, how many wait, and how many
were dropped because it could not take them. The exit code is 6 when one fails or
has dropped lines.`,
		Example: "  penstock log outputs",
		Args:    shell.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			log, err := client.Log(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				err = output.JSON(env.Stdout, log.Outputs)
			} else {
				err = printOutputs(env, log.Outputs)
			}
			if err != nil {
				return err
			}
			return outputsTrouble(log.Outputs)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	at.Register(cmd.Flags())
	return cmd
}

func printOutputs(env shell.Env, outputs []apiclient.LogOutput) error {
	t := output.NewTable(env.Stdout, "NAME", "KIND", "STATE", "SINCE", "SENT", "QUEUED", "DROPPED", "WHY")
	for _, o := range outputs {
		if err := t.Row(o.Name, o.Kind, o.State, o.Since, o.Sent, o.Queued, o.Dropped, o.Why); err != nil {
			return err
		}
	}
	return t.End()
}

// outputsTrouble returns an error that names the outputs by which lines are lost or
// late.
func outputsTrouble(outputs []apiclient.LogOutput) error {
	troubled := ""
	for _, o := range outputs {
		if o.State == "failing" || o.Dropped > 0 {
			troubled += " " + o.Name
		}
	}
	if troubled == "" {
		return nil
	}
	return shell.Exit(shell.ExitDamaged, fmt.Errorf("lines of the log are late or were dropped at:%s", troubled))
}
