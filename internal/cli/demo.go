package cli

import (
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/cli/manual"
	"github.com/penstock/penstock/internal/cli/shell"
)

// Demo runs a gateway and a simulated fleet that sends to it. It returns an
// error when the books at the end show a report lost, made up or changed.
type Demo func(ctx context.Context, o DemoOptions) error

// DemoOptions are the flags of demo. Shares are between 0 and 1.
type DemoOptions struct {
	For         time.Duration // 0 runs until ctx ends
	Controllers int
	Loss        float64
	Duplicate   float64
	Reorder     float64
	Corrupt     float64
	KillEvery   time.Duration // 0 for never
	Interval    time.Duration // between two reports of a controller; 0 chooses
	Seed        uint64
	JSON        bool
	Open        bool   // show the console in a browser
	Listen      string // address of the gateway; empty chooses
	Data        string // directory; empty makes one and removes it
	Breaks      []string
	Stdout      io.Writer
	Stderr      io.Writer
}

func newDemo(env shell.Env, run Demo) *cobra.Command {
	o := DemoOptions{Stdout: env.Stdout, Stderr: env.Stderr}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Try it: a gateway and a simulated water network that sends to it",
		Long: `Run a gateway of its own and a simulated water network that sends to it over TLS,
with loss, duplication, reordering and corruption if asked for; and, with
--kill-every, kill the gateway again and again. At the end the senders' own books
are held against what the gateway stored. The exit code is 0 only when nothing was
lost, nothing made up and nothing changed. Its gateway's configuration may be
changed while it runs, with 'penstock reload': it says where.

With --break the controllers stand at sites, some of them on serial lines and on
radios that tell their signal, and something is broken on purpose while they send:
'penstock diagnose' in another terminal says what, and the end says whether it was
right. Without a target one is chosen, and told.`,
		Example: `  penstock demo
  penstock demo --for 60s --controllers 500 --loss 10% --duplicate 10% --reorder 10% --corrupt 1% --kill-every 5s
  penstock demo --for 10s --json
  penstock demo --break radio:site-02
  penstock demo --for 3m --break noise@20s+40s --break store@90s+40s`,
		Args: shell.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Controllers < 1 || o.For < 0 || o.KillEvery < 0 || o.Interval < 0 {
				return shell.Usagef("--controllers needs a number from 1, and no duration may be negative")
			}
			ctx, stop := env.Signals(cmd.Context())
			defer stop()
			return run(ctx, o)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&o.For, "for", 0, "the `DURATION` to run; without it until Ctrl-C")
	f.IntVar(&o.Controllers, "controllers", 200, "`NUMBER` of controllers that send")
	f.DurationVar(&o.Interval, "interval", 0, "`DURATION` between two reports of a controller (default: chosen)")
	f.Uint64Var(&o.Seed, "seed", 1, "`NUMBER` that the run follows from")
	f.BoolVar(&o.JSON, "json", false, "end with one JSON object")
	f.BoolVar(&o.Open, "open", false, "show the console in a browser, where there is a display; never where CI is set")
	f.StringVar(&o.Listen, "listen", "", "`ADDRESS` of the gateway (default: chosen)")
	f.StringVar(&o.Data, "data", "", "`DIR` to keep the data in (default: one that is removed at the end)")
	f.Var((*share)(&o.Loss), "loss", "share of messages or answers that are lost, as in 10%")
	f.Var((*share)(&o.Duplicate), "duplicate", "share of messages that are sent twice")
	f.Var((*share)(&o.Reorder), "reorder", "share of messages that are overtaken by later ones")
	f.Var((*share)(&o.Corrupt), "corrupt", "share of messages whose bytes are changed on the way")
	f.DurationVar(&o.KillEvery, "kill-every", 0, "kill the gateway, without warning, after each `DURATION`")
	f.StringArrayVar(&o.Breaks, "break", nil, "break `WHAT` on purpose: radio:SITE, noise:LINE, clock:CONTROLLER, hang:CONTROLLER, network:SITE, store or gateway; with @START+FOR for when, as in radio@30s+2m; more than once for more")
	manual.InGroup(f, "Trouble", "break", "loss", "duplicate", "reorder", "corrupt", "kill-every")
	return cmd
}

// share is a flag of a share, written 10% or 0.1.
type share float64

// Set reads a share from 0 to 1.
func (s *share) Set(text string) error {
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	value, err := strconv.ParseFloat(number, 64)
	if percent {
		value /= 100
	}
	if err != nil || !(value >= 0 && value <= 1) {
		return shell.Usagef("needs a share such as 10%% or 0.1, not %q", text)
	}
	*s = share(value)
	return nil
}

// String returns the share in percent, "" for none.
func (s *share) String() string {
	if *s == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(*s)*100, 'g', -1, 64) + "%"
}

// Type names the value in the help.
func (s *share) Type() string { return "SHARE" }
