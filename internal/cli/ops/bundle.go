package ops

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/cli/shell"
	"github.com/penstock/penstock/internal/localsocket"
)

func newSupportBundle(env shell.Env) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "support-bundle",
		Short: "Collect what somebody who helps needs to know, without secrets",
		Long: `Write an archive for somebody who helps from afar: the configuration without its
secrets, versions, health, flow, metrics, the newest lines of the log and what all
goroutines do. Names of controllers and addresses are in it; tokens, keys and
passwords are not. Look into it before it leaves the house: it is a tar archive of
text files.

It goes over the socket run/admin.sock in the data directory, which only the
gateway's own account and root can open.`,
		Example: "  penstock support-bundle -o support.tar.gz",
		Args:    shell.NoArgs,
	}
	data := local(cmd, env)
	cmd.Flags().StringVarP(&file, "output", "o", "penstock-support.tar.gz", "write to `FILE`, which must not be there yet")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return shell.Usagef("%w", err)
		}
		err = errors.Join(localsocket.Get(cmd.Context(), data(), "/support-bundle", out), out.Close())
		if err != nil {
			return errors.Join(err, os.Remove(file)) // half of it is of no use
		}
		_, err = fmt.Fprintf(env.Stderr, "Written to %s. Look into it before you send it.\n", file)
		return err
	}
	return cmd
}
