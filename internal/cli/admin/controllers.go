package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/apiclient"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
)

func newControllers(env shell.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "controllers",
		Short: "List controllers, give and revoke credentials",
		Args:  shell.CommandArgs,
		RunE:  shell.ShowHelp,
	}
	cmd.AddCommand(newControllersList(env), newControllersAdd(env), newControllersRevoke(env), newControllersAdmit(env), newControllersExport(env), newControllersImport(env))
	return cmd
}

func newControllersList(env shell.Env) *cobra.Command {
	var at shell.Remote
	var asJSON, credentials bool
	cmd := &cobra.Command{
		Use:     "list [CONTROLLER]",
		Short:   "List the controllers, or the credentials",
		Example: "  penstock controllers list\n  penstock controllers list 'pump-*'\n  penstock controllers list --credentials",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if credentials && len(args) > 0 {
				return shell.Usagef("--credentials lists all of them: leave out %s", args[0])
			}
			client, err := at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			fleet, err := client.Fleet(cmd.Context(), shell.First(args...))
			if err != nil {
				return err
			}
			if asJSON {
				return output.JSON(env.Stdout, fleet)
			}
			if credentials {
				return printCredentials(env, fleet.Credentials)
			}
			return printControllers(env, fleet.Controllers)
		},
	}
	cmd.Flags().BoolVar(&credentials, "credentials", false, "list the credentials instead")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON: controllers and credentials")
	at.Register(cmd.Flags())
	return cmd
}

func printControllers(env shell.Env, controllers []apiclient.Controller) error {
	t := output.NewTable(env.Stdout, "CONTROLLER", "STATE", "POINTS", "FIRST SEEN", "LAST SEEN", "LAST REPORT", "SOURCE", "SITE", "LINE")
	held := 0
	for _, c := range controllers {
		if c.State == "held" {
			held++
		}
		if err := t.Row(c.Name, c.State, c.Points, shell.Never(c.FirstSeen), shell.Never(c.LastSeen), c.LastIdentity, c.Source, c.Site, c.Line); err != nil {
			return err
		}
	}
	if held > 0 {
		fmt.Fprintf(env.Stderr, "%s held: let one report with 'penstock controllers admit NAME'.\n", output.Count(held, "controller"))
	}
	return t.End()
}

func printCredentials(env shell.Env, credentials []apiclient.Credential) error {
	t := output.NewTable(env.Stdout, "ID", "NAME", "KIND", "ROLE", "SCOPE", "CREATED", "LAST USED", "REVOKED")
	for _, c := range credentials {
		err := t.Row(c.ID, c.Name, c.Kind, c.Role, strings.Join(c.Scope, " "), shell.Never(c.Created), shell.Never(c.LastUsed), c.Revoked)
		if err != nil {
			return err
		}
	}
	return t.End()
}

func newControllersAdd(env shell.Env) *cobra.Command {
	var at shell.Remote
	var role string
	var scope []string
	var asJSON, key bool
	roles := []string{string(penstock.RoleController), string(penstock.RoleViewer), string(penstock.RoleOperator), string(penstock.RoleAdmin)}
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a credential, and print its token or key this once",
		Long: `Make a credential, and print its token. The gateway keeps a hash of it only: it
cannot be shown again.

With --key it is a key instead, for a controller that speaks the link protocol
over UDP or a serial line, where there is no TLS: the number of the key and its
secret in hexadecimal, with a colon between. It cannot be shown again either.

Without --scope the credential may speak for the controller NAME alone.`,
		Example: `  penstock controllers add pump-17
  penstock controllers add north --scope 'north-*'
  penstock controllers add logger-3 --key
  penstock controllers add anna --role viewer --scope '*' > anna.token`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(roles, role) {
				return shell.Usagef("%q is no role: --role takes %s", role, strings.Join(roles, ", "))
			}
			kind, word := "", "token"
			if key {
				kind, word = "key", "key"
			}
			if key && role != string(penstock.RoleController) {
				return shell.Usagef("a key is for controllers that send: leave out --role %s", role)
			}
			if len(scope) == 0 {
				if role != string(penstock.RoleController) {
					return shell.Usagef("say what a %s may see: --scope '*' for all, or a pattern", role)
				}
				scope = args
			}
			client, err := at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			secret, id, err := client.Grant(cmd.Context(), apiclient.Grant{Name: args[0], Kind: kind, Role: penstock.Role(role), Scope: scope})
			if err != nil {
				return err
			}
			if asJSON {
				return output.JSON(env.Stdout, map[string]any{"id": id, word: secret, "role": role, "scope": scope})
			}
			fmt.Fprintf(env.Stderr, "Credential %s, %s of %s. Its %s, shown this once:\n", output.Clean(id), role, strings.Join(scope, " "), word)
			_, err = fmt.Fprintln(env.Stdout, secret)
			return err
		},
	}
	cmd.Flags().StringArrayVar(&scope, "scope", nil, "`PATTERN` of the controllers that it covers; '*' stands for any run of characters; may be repeated")
	cmd.Flags().StringVar(&role, "role", roles[0], "`ROLE`: "+strings.Join(roles, ", "))
	cmd.Flags().BoolVar(&key, "key", false, "make a key, for links without TLS, instead of a token")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	at.Register(cmd.Flags())
	return cmd
}

func newControllersRevoke(env shell.Env) *cobra.Command {
	return newAct(env, &cobra.Command{
		Use:     "revoke ID",
		Short:   "Revoke a credential at once",
		Example: "  penstock controllers list --credentials\n  penstock controllers revoke 7Q4KX2",
	}, func(ctx context.Context, c *apiclient.Client, id string) error { return c.Revoke(ctx, id) }, "Credential %s is revoked.\n")
}

func newControllersAdmit(env shell.Env) *cobra.Command {
	return newAct(env, &cobra.Command{
		Use:     "admit CONTROLLER",
		Short:   "Let a held controller report",
		Example: "  penstock controllers admit pump-17",
	}, func(ctx context.Context, c *apiclient.Client, name string) error { return c.Admit(ctx, name) }, "%s may report now.\n")
}

// newAct makes cmd do one thing with what its argument names, and then say done.
func newAct(env shell.Env, cmd *cobra.Command, act func(context.Context, *apiclient.Client, string) error, done string) *cobra.Command {
	var at shell.Remote
	cmd.Args = cobra.ExactArgs(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := at.Client(env)
		if err != nil {
			return err
		}
		defer client.Close()
		if err := act(cmd.Context(), client, args[0]); err != nil {
			return err
		}
		fmt.Fprintf(env.Stderr, done, args[0])
		return nil
	}
	at.Register(cmd.Flags())
	return cmd
}
