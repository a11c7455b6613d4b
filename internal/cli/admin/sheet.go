package admin

import (
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
	cmd := &cobra.Command{
		Use:   "export [CONTROLLER]",
		Short: "Write controllers and their points as CSV",
		Long: `Write controllers and their points as CSV: a row for each point, and one for each
controller without points. 'penstock controllers import' reads it back. '*' stands
for any run of characters.

A text that a spreadsheet would take for a formula, because it begins with = + -
or @, has a quote before it; the import takes the quote away again.`,
		Example: "  penstock controllers export > plant.csv\n  penstock controllers export 'pump-*'",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			return client.Export(cmd.Context(), shell.First(args...), env.Stdout)
		},
	}
	at.Register(cmd.Flags())
	return cmd
}

func newControllersImport(env shell.Env) *cobra.Command {
	var at shell.Remote
	var dry bool
	cmd := &cobra.Command{
		Use:   "import FILE.csv",
		Short: "Register controllers and declare points from CSV",
		Long: `Register controllers and declare their points from a CSV file, "-" for standard
input. The first line names the columns, in any order: controller, state, point,
type, unit, min, max, signal. Only controller is needed. Commas, semicolons or
tabs separate them.

All rows are imported or, when one is wrong, none; each row that is wrong is
named. What the file does not name stays as it is. The configuration and what is
stored already cannot be contradicted.`,
		Example: `  penstock controllers import plant.csv --dry-run
  penstock controllers import plant.csv`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sheet, err := readSheet(env, args[0])
			if err != nil {
				return err
			}
			client, err := at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
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
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what is wrong and what would change, and change nothing")
	at.Register(cmd.Flags())
	return cmd
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
