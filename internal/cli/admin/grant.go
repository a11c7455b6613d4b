package admin

import (
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/apiclient"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
)

// grant is what the flags of controllers add ask for.
type grant struct {
	role        string
	scope       []string
	key         bool
	certificate string // its file
	json        bool
}

func roles() []string {
	return []string{string(penstock.RoleController), string(penstock.RoleViewer), string(penstock.RoleOperator), string(penstock.RoleAdmin)}
}

func newControllersAdd(env shell.Env) *cobra.Command {
	var at shell.Remote
	var g grant
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a credential, and print its token or key this once",
		Long: `Make a credential, and print its token. The gateway keeps a hash of it only: it
cannot be shown again.

With --key it is a key instead, for a controller that speaks the link protocol
over UDP or a serial line, where there is no TLS: the number of the key and its
secret in hexadecimal, with a colon between. It cannot be shown again either.

With --certificate it is for whoever connects with that client certificate, or with
another one of the same name: its URI, or else its common name. There is no secret
then. The gateway needs tls.client_ca, the authority that signs such certificates.

Without --scope the credential may speak for the controller NAME alone.`,
		Example: `  penstock controllers add pump-17
  penstock controllers add north --scope 'north-*'
  penstock controllers add logger-3 --key
  penstock controllers add pump-18 --certificate pump-18.crt
  penstock controllers add anna --role viewer --scope '*' > anna.token`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			wish, err := g.wish(args[0])
			if err != nil {
				return err
			}
			client, err := at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			made, err := client.Grant(cmd.Context(), wish)
			if err != nil {
				return err
			}
			return g.print(env, &made)
		},
	}
	cmd.Flags().StringArrayVar(&g.scope, "scope", nil, "`PATTERN` of the controllers that it covers; '*' stands for any run of characters; may be repeated")
	cmd.Flags().StringVar(&g.role, "role", roles()[0], "`ROLE`: "+strings.Join(roles(), ", "))
	cmd.Flags().BoolVar(&g.key, "key", false, "make a key, for links without TLS, instead of a token")
	cmd.Flags().StringVar(&g.certificate, "certificate", "", "PEM `FILE` of the client certificate that it is for, instead of a token")
	cmd.Flags().BoolVar(&g.json, "json", false, "print JSON")
	cmd.MarkFlagsMutuallyExclusive("key", "certificate")
	at.Register(cmd.Flags())
	return cmd
}

// wish returns what to ask the gateway for.
func (g *grant) wish(name string) (apiclient.Grant, error) {
	wish := apiclient.Grant{Name: name, Role: penstock.Role(g.role), Scope: g.scope}
	if !slices.Contains(roles(), g.role) {
		return wish, shell.Usagef("%q is no role: --role takes %s", g.role, strings.Join(roles(), ", "))
	}
	sends := wish.Role == penstock.RoleController
	if g.key {
		if !sends {
			return wish, shell.Usagef("a key is for controllers that send: leave out --role %s", g.role)
		}
		wish.Kind = "key"
	}
	if len(wish.Scope) == 0 {
		if !sends {
			return wish, shell.Usagef("say what a %s may see: --scope '*' for all, or a pattern", g.role)
		}
		wish.Scope = penstock.Scope{name}
	}
	if g.certificate == "" {
		return wish, nil
	}
	text, err := os.ReadFile(g.certificate)
	if err != nil {
		return wish, penstock.Errorf(penstock.Invalid, "--certificate: %w", err)
	}
	for rest := text; ; { // a file may hold its key too, which stays here
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return wish, penstock.Errorf(penstock.Invalid, "--certificate: %s holds no certificate in PEM", g.certificate)
		}
		if block.Type == "CERTIFICATE" {
			wish.Certificate = string(pem.EncodeToMemory(block))
			return wish, nil
		}
	}
}

// print shows the secret, or whose certificate it is.
func (g *grant) print(env shell.Env, made *apiclient.Granted) error {
	if g.json {
		fields := map[string]any{"id": made.ID, "role": made.Role, "scope": made.Scope}
		for name, value := range map[string]string{"token": made.Token, "key": made.Key, "subject": made.Subject} {
			if value != "" {
				fields[name] = value
			}
		}
		return output.JSON(env.Stdout, fields)
	}
	word := "token"
	switch {
	case made.Secret() == "":
		_, err := fmt.Fprintf(env.Stdout, "Credential %s, %s of %s, is for the certificate %s.\n", output.Clean(made.ID), made.Role, output.Clean(strings.Join(made.Scope, " ")), output.Clean(made.Subject))
		return err
	case made.Key != "":
		word = "key"
	}
	fmt.Fprintf(env.Stderr, "Credential %s, %s of %s. Its %s, shown this once:\n", output.Clean(made.ID), made.Role, output.Clean(strings.Join(made.Scope, " ")), word)
	_, err := fmt.Fprintln(env.Stdout, made.Secret())
	return err
}
