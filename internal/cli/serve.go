package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/cli/setup"
	"github.com/penstock/penstock/internal/cli/shell"
)

func newServe(env shell.Env, gateway Gateway, d setup.Doctor) *cobra.Command {
	var from shell.Settings
	var free setup.PortPolicy
	start := Start{Version: env.Version, Log: env.Stderr, Terminal: shell.IsTerminal(env.Stderr)}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the gateway",
		Long: `Run the gateway until Ctrl-C or SIGTERM; it then answers what is under way and
stops in good order.

It needs no configuration: the API is then at port 8080 with a certificate that
it makes, and everything it keeps is below one directory. At the start it prints
where it listens and commands to try. The log goes to standard error.

At SIGHUP it reads its configuration again: sources that changed are stopped and
started, the others go on undisturbed. The log says what else changed and needs a
restart.`,
		Example: `  penstock serve
  penstock serve -c /etc/penstock/penstock.yaml
  penstock serve --data /tmp/try --set listen.https=127.0.0.1:0`,
		Args: shell.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			configured, err := gateway.Configure(from.Sources(env))
			if err != nil {
				return err
			}
			for _, warning := range configured.Warnings() {
				fmt.Fprintf(env.Stderr, "penstock: warning: %s\n", warning)
			}
			ctx, stop := env.Signals(cmd.Context())
			defer stop()
			if d != nil {
				if err := free.Apply(ctx, env, d, from.Sources(env)); err != nil {
					return err
				}
			}
			hangup, deaf := env.Hangups()
			defer deaf()
			start.Started = func(f Facts) { fmt.Fprint(env.Stdout, f.banner(env)) }
			err = configured.Run(ctx, hangup, start)
			if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
				return nil // it was asked to stop
			}
			return err
		},
	}
	from.Register(cmd.Flags())
	cmd.Flags().DurationVar(&start.TakeOver, "take-over", 0, "wait for a `DURATION` until the gateway that has the data directory ends, and go on with it")
	cmd.Flags().Lookup("take-over").NoOptDefVal = "1m"
	if d != nil {
		free.Register(cmd.Flags())
	}
	const lever = "break-store"
	cmd.Flags().StringVar(&start.Lever, lever, "", "for drills: while `FILE` exists, each sync of the store takes as long as stands in it, such as 5s")
	_ = cmd.Flags().MarkHidden(lever) // it is there
	cmd.Flags().BoolVar(&start.AllowRoot, "allow-root", false, "run even as root")
	return cmd
}
