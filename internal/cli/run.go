package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/penstock/penstock/internal/cli/manual"
)

// Env is what a command gets from the process.
type Env struct {
	Args    []string // without the program's name
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Environ []string // NAME=value
	Version string   // of the program, such as "0.1.0"
	Now     func() time.Time
	Rand    io.Reader
	Sleep   func(context.Context, time.Duration) error // nil for the real one
	// Signals returns a context that ends at the signals which ask a process to
	// stop. Commands that can stop in good order call it; to the others such a
	// signal is the end.
	Signals func(context.Context) (context.Context, context.CancelFunc)
	// Hangups begins to take the signal that asks a gateway to read its
	// configuration again. next waits for the next one; it fails when ctx ends.
	Hangups func() (next func(context.Context) error, stop func())
}

// Run runs the command that the arguments name and returns the exit code.
func Run(ctx context.Context, env Env, program Program) int {
	started := false
	root := newRoot(env, program)
	wrap(root, func() { started = true })
	root.SetArgs(append([]string{}, env.Args...)) // nil would mean those of the process
	ran, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitOK
	}
	if !started {
		err = usagef("%s\nSee '%s --help'", strings.TrimRight(err.Error(), "\n"), ran.CommandPath())
	}
	fmt.Fprintf(env.Stderr, "penstock: %v\n", err)
	return exitCode(err)
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

func newRoot(env Env, program Program) *cobra.Command {
	shown := manual.Manual{Version: env.Version, Exits: exitCodes()}
	root := &cobra.Command{
		Use:   "penstock",
		Short: "Take readings from controllers, make them durable, deliver each exactly once",
		Long: `Penstock takes readings from thousands of controllers on energy grids and water
networks, makes them durable and delivers each exactly once.`,
		Example:           "  penstock demo --for 30s\n  penstock serve\n  penstock query 'pump-*'",
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              commandArgs,
		RunE:              showHelp,
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
		add(groupGateway, newServe(env, program.Gateway), newCheck(env, program.Gateway))
	}
	add(groupData, newSend(env), newQuery(env), newTail(env))
	add(groupAdmin, newControllers(env), newLedger(env))
	if program.Spool != nil {
		add(groupAdmin, newSpool(env, program.Spool))
	}
	add(groupOther, newVersion(env), newCompletion(env))
	root.AddCommand(newMan(shown))
	return root
}

// commandArgs refuses words that name no command, and says which one was meant.
func commandArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	text := fmt.Sprintf("%q is no command of %s", args[0], cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return errors.New(text)
}

// noArgs refuses all arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%s takes no arguments, not %q", cmd.CommandPath(), args[0])
}

// showHelp is what a command does that only holds others.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// getenv returns a variable of the environment.
func (e Env) getenv(name string) string {
	for _, pair := range e.Environ {
		if value, found := strings.CutPrefix(pair, name+"="); found {
			return value
		}
	}
	return ""
}

// isTerminal tells whether a person sees what is written to w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
