package setup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/cli/shell"
	"github.com/penstock/penstock/internal/install"
)

// Gateway is what an installation needs to know of the gateway.
type Gateway struct {
	// Listeners returns what the configuration in a file listens on; what a gateway
	// without configuration does when the file is not there.
	Listeners func(file string) ([]install.Listener, error)
	// Key makes a key-encryption key in a directory, unless there is one.
	Key func(dir string) error
}

// change holds the flags of commands that change the machine.
type change struct {
	env    shell.Env
	root   string
	part   string
	yes    bool
	dryRun bool
}

func (c *change) register(flags *pflag.FlagSet) {
	flags.StringVar(&c.root, "root", "/", "work on the image of a machine in `DIR`, not on this machine")
	flags.BoolVarP(&c.yes, "yes", "y", false, "do not ask")
	flags.BoolVar(&c.dryRun, "dry-run", false, "print everything that would be done, with the content of files, and do nothing")
}

func (c *change) registerPart(flags *pflag.FlagSet) {
	flags.StringVar(&c.part, "package", "", "only one `PART` of it, for makers of packages: files, or configure")
}

// image tells whether it is not this machine that is changed.
func (c *change) image() bool { return filepath.Clean(c.root) != "/" }

// target returns what is changed.
func (c *change) target(key func(string) error) *install.Target {
	return &install.Target{Root: c.root, Run: c.run, Chown: os.Chown, Key: key}
}

func (c *change) run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return penstock.Errorf(penstock.Internal, "%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// do shows the steps, asks, and does them.
func (c *change) do(ctx context.Context, t *install.Target, steps []install.Step) error {
	if c.dryRun {
		return c.show(steps, true)
	}
	if !c.yes {
		if err := c.show(steps, false); err != nil {
			return err
		}
		if err := Confirm(c.env, "Do this?"); err != nil {
			return err
		}
	}
	if os.Geteuid() != 0 && !c.image() {
		return penstock.Errorf(penstock.Forbidden, "only root may change the machine: run it with sudo")
	}
	return install.Apply(ctx, t, steps, func(s install.Step, changed bool) {
		mark := "done"
		if !changed {
			mark = "as is"
		}
		fmt.Fprintf(c.env.Stdout, "%-6s %s\n", mark, s)
	})
}

// show prints the steps, with the content of files when all is wanted.
func (c *change) show(steps []install.Step, all bool) error {
	for _, s := range steps {
		if _, err := fmt.Fprintln(c.env.Stdout, s); err != nil {
			return err
		}
		d, ok := s.(install.Detailed)
		if !ok || !all {
			continue
		}
		for line := range strings.Lines(d.Detail()) {
			if _, err := fmt.Fprintf(c.env.Stdout, "    | %s\n", strings.TrimRight(line, "\n")); err != nil {
				return err
			}
		}
	}
	return nil
}

// Confirm asks a person on a terminal; without one it refuses.
func Confirm(env shell.Env, question string) error {
	in, ok := env.Stdin.(*os.File)
	if !ok || !shell.IsTerminal(in) {
		return shell.Usagef("nobody can be asked without a terminal: say --yes, or look first with --dry-run")
	}
	fmt.Fprintf(env.Stderr, "%s [y/N] ", question)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errors.New("nothing was done")
	}
	return nil
}

func newInstall(env shell.Env, g *Gateway) *cobra.Command {
	c := change{env: env}
	var o install.Options
	var from []string
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Set this machine up for a gateway: account, directories, key, units",
		Long: `Set this machine up for a gateway: an account without a shell, directories of mode
0750, a commented configuration, a key-encryption key apart from the data, and units
of systemd that start it, watch it and keep it away from the rest of the machine.

It shows what it will do and asks. What is so already it leaves alone, and a
configuration or a key that is there it never touches: it may be run again at any
time, and should be after a change of an address under listen.

With --firewall only the networks of --from reach its ports: by rules of nftables,
and in a new configuration by listen.allow.`,
		Example: `  sudo penstock install
  penstock install --dry-run
  sudo penstock install --firewall --from 10.0.8.0/24 --from 10.0.9.7
  penstock install --root /mnt/image --yes`,
		Args: shell.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.From, err = install.ParseFrom(from); err != nil {
				return shell.Exit(shell.ExitUsage, err)
			}
			if o.Binary == "" {
				if o.Binary, err = os.Executable(); err != nil {
					return err
				}
			}
			o.Part, o.Image = install.Part(c.part), c.image()
			if o.Listeners, err = g.Listeners(filepath.Join(c.root, install.Config)); err != nil {
				return err
			}
			steps, err := install.Install(o)
			if err != nil {
				return shell.Exit(shell.ExitUsage, err)
			}
			t := c.target(g.Key)
			if o.Part == install.Files { // a package has owners of its own, and anybody may make one
				t.Chown = func(string, int, int) error { return nil }
			}
			return c.do(cmd.Context(), t, steps)
		},
	}
	c.register(cmd.Flags())
	flags := cmd.Flags()
	c.registerPart(flags)
	flags.BoolVar(&o.Firewall, "firewall", false, "let only the networks of --from reach the ports, by nftables")
	flags.StringArrayVar(&from, "from", nil, "`NETWORK` that may connect, such as that of the load balancer: 10.0.8.0/24; may be repeated")
	flags.BoolVar(&o.Serial, "serial", false, "let the gateway open serial lines")
	flags.BoolVar(&o.NoStart, "no-start", false, "do not start it")
	flags.StringVar(&o.Binary, "binary", "", "`FILE` of the program to install (default: this one)")
	return cmd
}

func newUninstall(env shell.Env) *cobra.Command {
	c := change{env: env}
	var purge bool
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Undo an installation; configuration, keys and data stay",
		Long: `Stop the gateway and take away its units, its firewall and its program. The
configuration, the keys and the data stay, and so does the account that owns them.

With --purge they go too. What the gateway accepted and has not delivered is then
lost, and without the key no backup can be read.`,
		Example: "  sudo penstock uninstall\n  sudo penstock uninstall --purge --dry-run",
		Args:    shell.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			steps, err := install.Uninstall(install.Options{Part: install.Part(c.part), Image: c.image()}, purge)
			if err != nil {
				return shell.Exit(shell.ExitUsage, err)
			}
			return c.do(cmd.Context(), c.target(nil), steps)
		},
	}
	c.register(cmd.Flags())
	c.registerPart(cmd.Flags())
	cmd.Flags().BoolVar(&purge, "purge", false, "take configuration, keys, data and account away too")
	return cmd
}
