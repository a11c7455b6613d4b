package cli

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/cli/manual"
	"github.com/penstock/penstock/internal/cli/shell"
)

// ScanOPCUA looks at what an OPC UA server has and writes it as configuration.
type ScanOPCUA func(ctx context.Context, o OPCUAScan) error

// OPCUAScan says where to look, and for what.
type OPCUAScan struct {
	Endpoint            string
	Policy, Mode, Trust string
	PlainText           bool
	User, PasswordFile  string
	Root                string
	Depth, Max          int
	Timeout             time.Duration
	Data                string // data directory, for the certificate to show
	Out                 io.Writer
}

func newScanOPCUA(env shell.Env, scan ScanOPCUA) *cobra.Command {
	o := OPCUAScan{Out: env.Stdout}
	cmd := &cobra.Command{
		Use:   "opcua ENDPOINT",
		Short: "Find the variables of an OPC UA server",
		Long: `Look at everything below a node of an OPC UA server, and print its variables with
their types and units as configuration to paste and edit. It only reads.

Without --trust the server's certificate is believed as it is shown; it stands in
what is printed, to be compared with the server's own. A password is sent only to a
server that --trust names. The client's certificate is that of the gateway with the
same --data; a server that does not know it refuses, and has to be told to trust it.`,
		Example: `  penstock scan opcua opc.tcp://192.0.2.9:4840
  penstock scan opcua opc.tcp://127.0.0.1:4840 --policy None
  penstock scan opcua opc.tcp://scada:4840/server --root 'ns=2;s=Plant' --depth 4 > found.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.User != "" && (o.Trust == "" || o.PasswordFile == "") {
				return shell.Usagef("--user goes with --password-file and --trust: a password is for a server that is known")
			}
			o.Endpoint = args[0]
			ctx, stop := env.Signals(cmd.Context())
			defer stop()
			return scan(ctx, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Root, "root", "i=85", "`NODE` below which to look; the folder Objects when left out")
	f.IntVar(&o.Depth, "depth", 8, "`NUMBER` of levels to look at")
	f.IntVar(&o.Max, "max", 1000, "`NUMBER` of variables to print")
	f.DurationVar(&o.Timeout, "timeout", 10*time.Second, "`DURATION` that the server has to answer")
	f.StringVar(&o.Data, "data", "penstock-data", "data `DIRECTORY` of the gateway")
	f.StringVar(&o.Policy, "policy", "Basic256Sha256", "security `POLICY`: Basic256Sha256, Aes128_Sha256_RsaOaep, Aes256_Sha256_RsaPss or None")
	f.StringVar(&o.Mode, "mode", "", "security `MODE`: SignAndEncrypt, Sign, or None with the policy None")
	f.StringVar(&o.Trust, "trust", "", "`FINGERPRINT` of the server's certificate, as sha256:HEX")
	f.BoolVar(&o.PlainText, "plain-text", false, "allow the policy None towards another machine")
	f.StringVar(&o.User, "user", "", "`NAME` of a user at the server")
	f.StringVar(&o.PasswordFile, "password-file", "", "`FILE` with the user's password")
	manual.InGroup(f, "Security", "policy", "mode", "trust", "plain-text", "user", "password-file")
	return cmd
}
