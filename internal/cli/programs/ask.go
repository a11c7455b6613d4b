package programs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
	"github.com/penstock/penstock/internal/notify"
	"github.com/penstock/penstock/internal/supervise"
	"github.com/penstock/penstock/internal/supervise/capture"
	"github.com/penstock/penstock/internal/supervise/control"
	"github.com/penstock/penstock/internal/supervise/lifecycle"
)

func (p *place) client(env shell.Env) *control.Client {
	return control.NewClient(supervise.ControlSocket(p.directory(env)))
}

// answered gives errors of the manager their exit codes.
func answered(err error) error {
	switch penstock.CodeOf(err) {
	case penstock.Unavailable:
		return shell.Exit(shell.ExitUnreachable, err)
	case penstock.NotFound, penstock.Conflict, penstock.Unsupported:
		return shell.Exit(shell.ExitRefused, err)
	}
	return err
}

func newStatus(env shell.Env, at *place) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the programs of the manager that runs",
		Long: `Show how the programs of the manager stand: their processes, memory, restarts,
and why the last one ended. The exit code is 1 when a program has failed.`,
		Example: "  penstock supervise status\n  penstock supervise status --json",
		Args:    shell.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := at.client(env).Status(cmd.Context())
			if err != nil {
				return answered(err)
			}
			if asJSON {
				err = output.JSON(env.Stdout, s)
			} else {
				err = printStatus(env, s)
			}
			return errors.Join(err, failed(s))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// failed returns an error that names the instances that were given up.
func failed(s supervise.Status) error {
	var names []string
	for _, p := range s.Programs {
		for _, i := range p.Instances {
			if i.State == lifecycle.Failed {
				names = append(names, p.Name+"/"+strconv.Itoa(i.Number))
			}
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf("given up: %s; see 'penstock supervise logs', mend it, then restart it", strings.Join(names, ", "))
}

func printStatus(env shell.Env, s supervise.Status) error {
	t := output.NewTable(env.Stdout, "PROGRAM", "STATE", "SINCE", "PID", "MEMORY", "RESTARTS", "SAYS")
	for _, p := range s.Programs {
		for _, i := range p.Instances {
			pid, says := "-", i.Status
			if i.PID != 0 {
				pid = strconv.Itoa(i.PID)
			}
			if i.State == lifecycle.Waiting || i.State == lifecycle.Failed || says == "" {
				says = i.LastEnd
			}
			err := t.Row(fmt.Sprintf("%s/%d", p.Name, i.Number), string(i.State), since(env.Now(), i.Since), pid,
				fmt.Sprintf("%.1f MiB", float64(i.Resident)/(1<<20)), i.Restarts, says)
			if err != nil {
				return err
			}
		}
	}
	if err := t.End(); err != nil {
		return err
	}
	for _, p := range s.Programs {
		for _, l := range p.Sockets {
			fmt.Fprintf(env.Stdout, "%s listens on %s:%s\n", strings.TrimSuffix(p.Name+" "+l.Name, " "), l.Network, l.Address)
		}
	}
	if s.LogError != "" {
		fmt.Fprintf(env.Stdout, "The log takes nothing (%d lines are missing): %s\n", s.LogLost, s.LogError)
	}
	return nil
}

// since returns how long ago a time was, to the second.
func since(now, at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return now.Sub(at).Round(time.Second).String()
}

// target reads PROGRAM or PROGRAM/NUMBER.
func target(args []string) (program string, number int, err error) {
	if len(args) == 0 {
		return "", 0, nil
	}
	program, digits, ok := strings.Cut(args[0], "/")
	if !ok {
		return program, 0, nil
	}
	if number, err = strconv.Atoi(digits); err != nil || number < 1 {
		return "", 0, shell.Usagef("%q names no instance: write PROGRAM or PROGRAM/1", args[0])
	}
	return program, number, nil
}

func newRestart(env shell.Env, at *place) *cobra.Command {
	return &cobra.Command{
		Use:   "restart [PROGRAM[/NUMBER]]",
		Short: "Replace processes one after the other, without a request refused",
		Long: `Replace the processes of a program, or of all, one after the other: the new one is
started, the old one is asked to end when the new one is ready, and the command
goes on when it has ended. It stops at the first that does not become ready; the
old process then goes on. Programs that were stopped or given up are started.`,
		Example: "  penstock supervise restart\n  penstock supervise restart web\n  penstock supervise restart web/2",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			program, number, err := target(args)
			if err != nil {
				return err
			}
			err = at.client(env).Restart(cmd.Context(), program, number, func(instance string, took time.Duration) {
				fmt.Fprintf(env.Stdout, "%s was replaced in %s\n", instance, took.Round(time.Millisecond))
			})
			return answered(err)
		},
	}
}

func newReload(env shell.Env, at *place) *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Read the file of the programs again, and change what has changed",
		Long: `Have the manager read its file (-c) again and carry out what has changed: programs
that are gone from it end, new ones start, and processes of those that are run
otherwise are replaced one after the other, without a request refused. What is as it
was is not touched. A file with a mistake changes nothing: the answer names line and
key. A program whose new process does not become ready goes on as it was. SIGHUP
does the same.`,
		Example: "  penstock supervise reload",
		Args:    shell.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			changes := 0
			err := at.client(env).Reload(cmd.Context(), func(c supervise.Change) {
				changes++
				fmt.Fprintf(env.Stdout, "%s: %s\n", c.Of, c.What)
			})
			if err == nil && changes == 0 {
				fmt.Fprintln(env.Stdout, "Nothing has changed.")
			}
			if penstock.CodeOf(err) == penstock.Invalid {
				return shell.Exit(shell.ExitConfiguration, err)
			}
			return answered(err)
		},
	}
}

func newStop(env shell.Env, at *place) *cobra.Command {
	return &cobra.Command{
		Use:     "stop [PROGRAM]",
		Short:   "Stop a program, or all of them and the manager",
		Example: "  penstock supervise stop web\n  penstock supervise stop",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return answered(at.client(env).Stop(cmd.Context(), shell.First(args...)))
		},
	}
}

func newLogs(env shell.Env, at *place) *cobra.Command {
	var n int
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs [PROGRAM]",
		Short: "Show the latest lines that programs printed",
		Long: `Show the latest lines that programs printed, wherever else they go. The manager's
own lines are those of the program 'supervise'.`,
		Example: "  penstock supervise logs web -n 20\n  penstock supervise logs -f",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := env.Signals(cmd.Context())
			defer stop()
			to := capture.NewStream(env.Stdout)
			err := at.client(env).Logs(ctx, shell.First(args...), n, follow, func(l *capture.Line) error {
				shown := *l
				shown.Text = output.Clean(l.Text)
				return to.Write(&shown)
			})
			if ctx.Err() != nil && errors.Is(err, context.Canceled) {
				return nil // it was asked to stop
			}
			return answered(err)
		},
	}
	cmd.Flags().IntVarP(&n, "lines", "n", 100, "`NUMBER` of lines")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with the lines that come")
	return cmd
}

// newNotify lets programs speak that cannot send datagrams: a shell, Node.js.
func newNotify() *cobra.Command {
	var ready, alive, stopping bool
	var status string
	cmd := &cobra.Command{
		Use:   "notify",
		Short: "Tell the manager how the calling program is",
		Long: `Tell the manager that NOTIFY_SOCKET names how the calling program is, for programs
that cannot send datagrams to a unix socket, such as shell scripts and Node.js. It
does nothing where there is no manager.`,
		Example: "  penstock supervise notify --ready --status 'serves'\n  penstock supervise notify --alive",
		Args:    shell.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			sender, err := notify.FromEnvironment()
			if err != nil {
				return err
			}
			var lines []string
			for line, said := range map[string]bool{"READY=1": ready, "WATCHDOG=1": alive, "STOPPING=1": stopping, "STATUS=" + status: status != ""} {
				if said {
					lines = append(lines, line)
				}
			}
			if lines == nil {
				return shell.Usagef("notify needs something to tell: --ready, --alive, --stopping or --status")
			}
			return sender.Send(lines...)
		},
	}
	cmd.Flags().BoolVar(&ready, "ready", false, "it answers")
	cmd.Flags().BoolVar(&alive, "alive", false, "feed its watchdog")
	cmd.Flags().BoolVar(&stopping, "stopping", false, "it begins to end")
	cmd.Flags().StringVar(&status, "status", "", "`TEXT` that says what it does")
	return cmd
}
