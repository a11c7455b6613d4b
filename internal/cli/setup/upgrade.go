package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/cli/shell"
	"github.com/penstock/penstock/internal/install"
)

func newUpgrade(env shell.Env, g *Gateway) *cobra.Command {
	c := change{env: env}
	var o install.Options
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Put this program in the place of the installed one",
		Long: `Put this program in the place of the installed one and restart the gateway. The new
program is the one that you run: copy it to the machine, and run it from there.

First the new program reads the installed configuration: what it refuses is shown,
and nothing is changed. The old program is kept as ` + install.Program + `.previous. When
the gateway does not become ready with the new one, the old one is put back and
started.`,
		Example: "  sudo ./penstock-0.2.0-linux-amd64 upgrade\n  sudo ./penstock-0.2.0-linux-amd64 upgrade --dry-run",
		Args:    shell.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Binary == "" {
				if o.Binary, err = os.Executable(); err != nil {
					return err
				}
			}
			if same, err := sameFile(o.Binary, filepath.Join(c.root, install.Program)); err != nil {
				return err
			} else if same {
				return shell.Usagef("%s is the installed program itself: run the new one", o.Binary)
			}
			o.Image = c.image()
			if o.Listeners, err = g.Listeners(filepath.Join(c.root, install.Config)); err != nil {
				return fmt.Errorf("the new program refuses the configuration, and nothing was changed: %w", err)
			}
			if _, err := os.Stat(filepath.Join(c.root, "etc/systemd/system/penstock.service.d/serial.conf")); err == nil {
				o.Serial = true
			}
			steps, err := install.Upgrade(o)
			if err != nil {
				return err
			}
			t := c.target(g.Key)
			if err := c.do(cmd.Context(), t, steps); err != nil || c.dryRun {
				return err
			}
			return install.Restart(cmd.Context(), t)
		},
	}
	c.register(cmd.Flags())
	cmd.Flags().StringVar(&o.Binary, "binary", "", "`FILE` of the new program (default: this one)")
	return cmd
}

func sameFile(a, b string) (bool, error) {
	first, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	second, err := os.Stat(b)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(first, second), err
}
