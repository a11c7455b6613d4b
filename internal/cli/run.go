package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/cli/admin"
	"github.com/penstock/penstock/internal/cli/care"
	"github.com/penstock/penstock/internal/cli/data"
	"github.com/penstock/penstock/internal/cli/manual"
	"github.com/penstock/penstock/internal/cli/ops"
	"github.com/penstock/penstock/internal/cli/programs"
	"github.com/penstock/penstock/internal/cli/scripts"
	"github.com/penstock/penstock/internal/cli/setup"
	"github.com/penstock/penstock/internal/cli/shell"
)

// Run runs the command that the arguments name and returns the exit code.
func Run(ctx context.Context, env shell.Env, program Program) int {
	started := false
	root := newRoot(env, program)
	wrap(root, func() { started = true })
	root.SetArgs(append([]string{}, env.Args...)) // nil would mean those of the process
	ran, err := root.ExecuteContextC(ctx)
	if err == nil {
		return shell.ExitOK
	}
	if !started {
		err = shell.Usagef("%s\nSee '%s --help'", strings.TrimRight(err.Error(), "\n"), ran.CommandPath())
	}
	fmt.Fprintf(env.Stderr, "penstock: %v\n", err)
	return shell.ExitCode(err)
}

// wrap has every command say when it starts: what fails before is the command
// line.
func wrap(cmd *cobra.Command, start func()) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			start()
			return run(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		wrap(sub, start)
	}
}

// The groups of commands in the help.
const (
	groupGateway = "gateway"
	groupData    = "data"
	groupAdmin   = "admin"
	groupOther   = "other"
)

func newRoot(env shell.Env, program Program) *cobra.Command {
	shown := manual.Manual{Version: env.Version, Exits: shell.ExitCodes()}
	root := &cobra.Command{
		Use:   "penstock",
		Short: "Take readings from controllers, make them durable, deliver each exactly once",
		Long: `Penstock takes readings from thousands of controllers on energy grids and water
networks, makes them durable and delivers each exactly once.`,
		Example:           "  penstock demo --for 30s\n  penstock serve\n  penstock query 'pump-*'",
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              shell.CommandArgs,
		RunE:              shell.ShowHelp,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { shown.Help(env.Stdout, cmd) })
	root.SetHelpCommandGroupID(groupOther)
	for _, group := range []cobra.Group{
		{ID: groupGateway, Title: "Run a gateway"}, {ID: groupData, Title: "Send and read"},
		{ID: groupAdmin, Title: "Administer"}, {ID: groupOther, Title: "More"},
	} {
		root.AddGroup(&group)
	}
	add := func(group string, commands ...*cobra.Command) {
		for _, cmd := range commands {
			cmd.GroupID = group
			root.AddCommand(cmd)
		}
	}
	if program.Demo != nil {
		add(groupGateway, newDemo(env, program.Demo))
	}
	if program.Gateway != nil {
		add(groupGateway, newServe(env, program.Gateway, program.Setup.Doctor), newCheck(env, program.Gateway))
	}
	add(groupGateway, setup.Commands(env, program.Setup)...)
	if program.ScanModbus != nil || program.ScanOPCUA != nil {
		add(groupGateway, newScan(env, program))
	}
	add(groupGateway, programs.Command(env))
	add(groupData, data.Commands(env)...)
	if program.Decode != nil {
		add(groupData, newDecode(env, program.Decode))
	}
	add(groupData, scripts.Commands(env)...)
	add(groupAdmin, admin.Commands(env)...)
	add(groupAdmin, ops.Commands(env)...)
	add(groupAdmin, care.Commands(env)...)
	if program.Spool != nil {
		add(groupAdmin, newSpool(env, program.Spool))
	}
	add(groupOther, newVersion(env), newCompletion(env))
	if program.Apart != nil {
		root.AddCommand(newSource(program.Apart))
	}
	root.AddCommand(newMan(shown))
	return root
}
