package admin

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

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
		err := t.Row(c.ID, c.Name, strings.TrimSpace(c.Kind+" "+c.Subject), c.Role, strings.Join(c.Scope, " "), shell.Never(c.Created), shell.Never(c.LastUsed), c.Revoked)
		if err != nil {
			return err
		}
	}
	return t.End()
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
