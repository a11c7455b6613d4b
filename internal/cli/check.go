package cli

import (
	"fmt"

	"github.com/penstock/penstock/internal/cli/shell"
	"github.com/spf13/cobra"
)

func newCheck(env shell.Env, gateway Gateway) *cobra.Command {
	var from shell.Settings
	var schema, show bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check a configuration, print it, or print its JSON Schema",
		Long: `Check a configuration as serve would load it, without starting anything. Every
problem is reported at once, with file, line and column. The script that it names is
compiled, and the place of what is wrong in it named.`,
		Example: `  penstock check -c penstock.yaml
  penstock check -c penstock.yaml --print
  penstock check --schema > penstock.schema.json`,
		Args: shell.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if schema {
				text, err := gateway.Schema()
				if err == nil {
					_, err = env.Stdout.Write(text)
				}
				return err
			}
			configured, err := gateway.Configure(from.Sources(env))
			if err != nil {
				return err
			}
			for _, warning := range configured.Warnings() {
				fmt.Fprintf(env.Stderr, "penstock: warning: %s\n", warning)
			}
			if err := configured.Examine(); err != nil {
				return err
			}
			if !show {
				_, err = fmt.Fprintf(env.Stdout, "%s holds.\n", shell.First(from.Sources(env).File, "The configuration"))
				return err
			}
			text, err := configured.Print()
			if err == nil {
				_, err = env.Stdout.Write(text)
			}
			return err
		},
	}
	from.Register(cmd.Flags())
	cmd.Flags().BoolVar(&schema, "schema", false, "print the JSON Schema of the configuration, for editors")
	cmd.Flags().BoolVar(&show, "print", false, "print the whole configuration, each value with its origin, secrets redacted")
	cmd.MarkFlagsMutuallyExclusive("schema", "print")
	return cmd
}
