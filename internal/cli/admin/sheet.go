package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/apiclient"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
)

func newControllersExport(env shell.Env) *cobra.Command {
	var at shell.Remote
	var credentials bool
	cmd := &cobra.Command{
		Use:   "export [CONTROLLER]",
		Short: "Write controllers and their points as CSV",
		Long: `Write controllers and their points as CSV: a row for each point, and one for each
controller without points. 'penstock controllers import' reads it back. '*' stands
for any run of characters.

A text that a spreadsheet would take for a formula, because it begins with = + -
or @, has a quote before it; the import takes the quote away again.

With --credentials it is the credentials of this gateway, for the import at another
one behind the same load balancer. Tokens cannot be found out from it; the keys of
controllers stand in it: keep no copy.`,
		Example: `  penstock controllers export > plant.csv
  penstock controllers export 'pump-*'
  penstock controllers export --credentials > credentials.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if credentials && len(args) > 0 {
				return shell.Usagef("--credentials exports all of them: leave out %s", args[0])
			}
			client, err := at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			if credentials {
				return client.ExportCredentials(cmd.Context(), env.Stdout)
			}
			return client.Export(cmd.Context(), shell.First(args...), env.Stdout)
		},
	}
	cmd.Flags().BoolVar(&credentials, "credentials", false, "write the credentials instead, for another gateway")
	at.Register(cmd.Flags())
	return cmd
}

func newControllersImport(env shell.Env) *cobra.Command {
	var at shell.Remote
	var dry, credentials bool
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Register controllers and declare points from CSV",
		Long: `Register controllers and declare their points from a CSV file, "-" for standard
input. The first line names the columns, in any order: controller, state, point,
type, unit, min, max, signal. Only controller is needed. Commas, semicolons or
tabs separate them.

All rows are imported or, when one is wrong, none; each row that is wrong is
named. What the file does not name stays as it is. The configuration and what is
stored already cannot be contradicted.

With --credentials the file is what 'penstock controllers export --credentials'
wrote at another gateway: what is not known here is added, and what is revoked
there is revoked here. It can be done again at any time.`,
		Example: `  penstock controllers import plant.csv --dry-run
  penstock controllers import plant.csv
  penstock controllers import --credentials credentials.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dry && credentials {
				return shell.Usagef("--dry-run is for CSV: with --credentials leave it out")
			}
			sheet, err := readSheet(env, args[0])
			if err != nil {
				return err
			}
			client, err := at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			if credentials {
				return adopt(cmd.Context(), env, client, sheet)
			}
			done, err := client.Import(cmd.Context(), sheet, dry)
			if err != nil {
				printRows(env.Stderr, args[0], err)
				return err
			}
			would := ""
			if dry {
				would = "would be "
			}
			placed := ""
			if done.Places > 0 {
				placed = fmt.Sprintf(", %s %splaced", output.Count(done.Places, "controller"), would)
			}
			_, err = fmt.Fprintf(env.Stdout, "%s: %s %sregistered, %s %sdeclared%s.\n", output.Count(done.Rows, "row"),
				output.Count(done.Controllers, "controller"), would, output.Count(done.Points, "point"), would, placed)
			return err
		},
	}
	cmd.Flags().BoolVar(&credentials, "credentials", false, "read credentials instead, which another gateway exported")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what is wrong and what would change, and change nothing")
	at.Register(cmd.Flags())
	return cmd
}

func adopt(ctx context.Context, env shell.Env, client *apiclient.Client, credentials []byte) error {
	done, err := client.ImportCredentials(ctx, credentials)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "%s added, %d revoked, %d as before.\n", output.Count(done.Added, "credential"), done.Revoked, done.Unchanged)
	return err
}

func readSheet(env shell.Env, path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(env.Stdin)
	}
	sheet, err := os.ReadFile(path)
	if err != nil {
		return nil, shell.Usagef("%w", err)
	}
	return sheet, nil
}

// printRows names each row that is wrong, as compilers do.
func printRows(w io.Writer, path string, err error) {
	var problem *apiclient.Problem
	if !errors.As(err, &problem) {
		return
	}
	for _, row := range problem.Rows {
		where := fmt.Sprintf("%s:%d", path, row.Line)
		if row.Column != "" {
			where += ": " + row.Column
		}
		fmt.Fprintf(w, "%s: %s\n", output.Clean(where), output.Clean(row.Detail))
	}
}
