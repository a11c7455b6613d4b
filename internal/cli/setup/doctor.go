package setup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/doctor"
	"github.com/penstock/penstock/internal/ports"
)

// Doctor examines the machine for a configuration, which need not hold.
type Doctor interface {
	// Examine makes all checks.
	Examine(context.Context, config.Sources) doctor.Report
	// Ports returns the configured ports with their holders.
	Ports(config.Sources) ([]doctor.PortState, error)
}

// sources returns what the flags say, or else the configuration of the installed
// gateway when there is one.
func sources(env shell.Env, s *shell.Settings) config.Sources {
	from := s.Sources(env)
	if _, err := os.Stat(InstalledConfig); err == nil && s.Silent(env) {
		from.File, from.DotEnv = InstalledConfig, filepath.Join(filepath.Dir(InstalledConfig), ".env")
	}
	return from
}

func newDoctor(env shell.Env, d Doctor) *cobra.Command {
	var from shell.Settings
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor [COMMAND]",
		Short: "Check the machine, the installation and every configured peer",
		Long: `Check all that a gateway needs: kernel, clock, limits, memory, disk and the time
of a sync in the data directory, network cards, ports, certificates, names, every
configured peer, permissions and keys. For each it says what was found, why it
matters and what mends it.

It needs no running gateway, and no configuration that holds. Without --config and
--data it takes that of the installed gateway, ` + InstalledConfig + `, if
there is one. Run it as root to have it look everywhere.

It ends with 0 when nothing failed; warnings alone are no failure. It ends with 1
when a check failed.`,
		Example: "  penstock doctor\n  sudo penstock doctor -c /etc/penstock/penstock.yaml\n  penstock doctor --json",
		Args:    shell.CommandArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report := d.Examine(cmd.Context(), sources(env, &from))
			if asJSON {
				if err := output.JSON(env.Stdout, report); err != nil {
					return err
				}
			} else if err := printReport(env, report); err != nil {
				return err
			}
			if failed := report.Count(doctor.Fail); failed > 0 {
				return shell.Exit(shell.ExitFailed, fmt.Errorf("%d of %d checks failed", failed, len(report.Checks)))
			}
			return nil
		},
	}
	from.Register(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(newPorts(env, d))
	return cmd
}

// printReport prints a line a check, and what is to be done below it.
func printReport(env shell.Env, r doctor.Report) error {
	var b strings.Builder
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "%-5s %-22s %s\n", c.Status, output.Clean(c.Name), indented(c.Found, 29))
		if c.Status != doctor.OK {
			fmt.Fprintf(&b, "%34s%s\n%34s%s\n", "why: ", indented(c.Why, 34), "fix: ", indented(c.Fix, 34))
		}
	}
	fmt.Fprintf(&b, "\n%d checks: %d ok, %d warnings, %d failures\n", len(r.Checks), r.Count(doctor.OK), r.Count(doctor.Warn), r.Count(doctor.Fail))
	_, err := env.Stdout.Write([]byte(b.String()))
	return err
}

// indented makes a text of several lines stand below its first one.
func indented(text string, by int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := range lines {
		lines[i] = output.Clean(lines[i])
	}
	return strings.Join(lines, "\n"+strings.Repeat(" ", by))
}

func newPorts(env shell.Env, d Doctor) *cobra.Command {
	var from shell.Settings
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ports",
		Short: "List each configured port with the process that holds it",
		Long: `List each configured port with the process that holds it: its number, command,
user and unit of systemd. Only root sees the processes of other users.

'penstock serve --wait-port 30s' waits for a port, and 'penstock serve --take-port'
stops the program that holds it, after asking.`,
		Example: "  sudo penstock doctor ports\n  penstock doctor ports --json",
		Args:    shell.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			states, err := d.Ports(sources(env, &from))
			if err != nil {
				return err
			}
			if asJSON {
				return output.JSON(env.Stdout, struct {
					Ports []doctor.PortState `json:"ports"`
				}{states})
			}
			return printPorts(env, states)
		},
	}
	from.Register(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printPorts(env shell.Env, states []doctor.PortState) error {
	table := output.NewTable(env.Stdout, "KEY", "ADDRESS", "STATE", "PID", "USER", "UNIT", "COMMAND")
	for _, s := range states {
		state := "taken"
		switch {
		case s.Ours:
			state = "ours"
		case len(s.Holders) == 0:
			state, s.Holders = "free", []ports.Holder{{}}
		}
		for _, h := range s.Holders {
			pid := ""
			if h.PID != 0 {
				pid = fmt.Sprint(h.PID)
			}
			if err := table.Row(s.Key, s.Address+"/"+s.Network, state, dash(pid), dash(h.User), dash(h.Unit), dash(h.Command)); err != nil {
				return err
			}
		}
	}
	return table.End()
}

func dash(text string) string { return shell.First(text, "-") }
