package programs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/penstock/penstock/internal/cli/manual"
	"github.com/penstock/penstock/internal/cli/shell"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/notify"
	"github.com/penstock/penstock/internal/supervise"
	"github.com/penstock/penstock/internal/supervise/control"
	"github.com/penstock/penstock/internal/supervise/lifecycle"
	"github.com/penstock/penstock/internal/supervise/process"
)

// envRuntime names the runtime directory; programs inherit it.
const envRuntime = "SUPERVISE_RUNTIME"

// Command returns the command of the process manager with those below it.
func Command(env shell.Env) *cobra.Command {
	var r runner
	cmd := &cobra.Command{
		Use:   "supervise [-n N] [--listen ADDRESS]... [-c FILE] -- PROGRAM [ARGUMENT]...",
		Short: "Run programs and keep them running: a process manager",
		Long: `Run a program, or those of a file, and keep them running, where no systemd does.
Programs are run by systemd's own protocol (LISTEN_FDS, NOTIFY_SOCKET,
WATCHDOG_USEC), so that they run the same under both.

The sockets of --listen belong to the manager: a program finds them from
descriptor 3 on, and while it is replaced connections wait instead of being
refused. -n runs several processes of one program on the same sockets.

A program that ends is started again, at once and then after longer and longer
pauses, until it is given up. One that hangs (--watchdog) or grows (--memory) is
ended and started again. What it leaves behind is ended with it.

SIGTERM and Ctrl-C stop all in good order, a second one kills. SIGHUP has a manager
with a file (-c) read it again, as 'penstock supervise reload' does; without one it
goes to the programs, as SIGUSR1 and SIGUSR2 do.`,
		Example: `  penstock supervise --listen https=:8080 --watchdog 30s -- penstock serve
  penstock supervise -n 0 --listen 127.0.0.1:3001 --memory 300MiB -- node app.js
  penstock supervise -c programs.yaml
  penstock supervise reload
  penstock supervise status
  penstock supervise restart`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && cmd.ArgsLenAtDash() != 0 {
				return shell.CommandArgs(cmd, args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && r.file == "" {
				return shell.Usagef("supervise needs a program behind --, or a file with -c")
			}
			if len(args) > 0 && r.file != "" {
				return shell.Usagef("-c FILE says what is run: give no program beside it")
			}
			return r.run(cmd, env, args)
		},
	}
	cmd.Flags().SortFlags = false
	r.register(cmd.Flags())
	cmd.AddCommand(newStatus(env, &r.at), newRestart(env, &r.at), newReload(env, &r.at), newStop(env, &r.at), newLogs(env, &r.at))
	for _, c := range append(cmd.Commands(), cmd) {
		r.at.register(c.Flags())
	}
	cmd.AddCommand(newNotify(), newBecome())
	return cmd
}

// place holds the flag that says which manager is meant.
type place struct{ runtime string }

func (p *place) register(flags *pflag.FlagSet) {
	flags.StringVar(&p.runtime, "runtime", "", "runtime `DIR` of the manager, which holds its control socket (default: one for each user; $"+envRuntime+")")
}

// directory returns the runtime directory.
func (p *place) directory(env shell.Env) string {
	if named := shell.First(p.runtime, env.Getenv(envRuntime)); named != "" {
		return named
	}
	if dir := env.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "penstock-supervise")
	}
	if os.Geteuid() == 0 {
		return "/run/penstock-supervise"
	}
	return filepath.Join(os.TempDir(), "penstock-supervise-"+strconv.Itoa(os.Geteuid()))
}

// runner holds the flags of a manager.
type runner struct {
	at      place
	file    string
	name    string
	group   bool
	program supervise.Program
	restart string
	config  supervise.Config
}

func (r *runner) register(flags *pflag.FlagSet) {
	r.config = supervise.DefaultConfig()
	r.program.SetDefaults()
	p := &r.program
	flags.StringVarP(&r.file, "config", "c", "", "`FILE` in YAML that names the programs")
	flags.StringVar(&r.name, "name", "", "`NAME` of the program (default: that of its file)")
	flags.IntVarP(&p.Instances, "instances", "n", p.Instances, "`NUMBER` of processes on the same sockets; 0 is one a core")
	flags.StringArrayVar(&p.Listen, "listen", nil, "`SOCKET` to hand over, as in [NAME=][tcp:|udp:|unix:]ADDRESS; may be repeated")
	flags.StringVar(&p.Ready, "ready", p.Ready, "`WHEN` a process counts as ready: notify (it says so) or auto (it says so, or has run for a second)")
	flags.StringVar(&r.restart, "restart", string(p.Restart), "after which ends it is started again, `RULE`: always, on-failure or never")
	flags.BoolVar(&p.Overlap, "overlap", p.Overlap, "start a successor beside the process that it replaces")
	flags.Var((*duration)(&p.Watchdog), "watchdog", "abort a process that is silent for a `DURATION`")
	flags.Var((*size)(&p.Memory), "memory", "stop a process whose tree holds more than this `SIZE` of memory")
	flags.Var((*duration)(&p.StartTimeout), "start-timeout", "`DURATION` it may take until it is ready")
	flags.Var((*duration)(&p.StopTimeout), "stop-timeout", "`DURATION` it may take to end before it is killed")
	flags.StringVar(&r.config.Log.To, "log", r.config.Log.To, "where lines go, `TO`: stdout, files, syslog, journal or none")
	flags.StringVar(&r.config.Log.Dir, "log-dir", "", "`DIR` of the files")
	flags.StringVar(&r.config.Log.Address, "log-address", r.config.Log.Address, "`ADDRESS` of syslog: unix:/path, udp:host:port or tcp:host:port")
	flags.BoolVar(&r.group, "group", false, "let the user's group use the control socket too")
	manual.InGroup(flags, "Log", "log", "log-dir", "log-address")
}

type duration config.Duration

// Set reads a duration.
func (d *duration) Set(s string) error { return (*config.Duration)(d).UnmarshalText([]byte(s)) }

// String writes it; nothing for none.
func (d *duration) String() string {
	if *d == 0 {
		return ""
	}
	return config.Duration(*d).String()
}

// Type names the value in the help.
func (d *duration) Type() string { return "DURATION" }

type size config.Size

// Set reads a size.
func (s *size) Set(text string) error { return (*config.Size)(s).UnmarshalText([]byte(text)) }

// String writes it; nothing for none.
func (s *size) String() string {
	if *s == 0 {
		return ""
	}
	return config.Size(*s).String()
}

// Type names the value in the help.
func (s *size) Type() string { return "SIZE" }

// configuration returns what is to be run, and where in the file it stands.
func (r *runner) configuration(env shell.Env, args []string) (supervise.Config, *config.Loaded, error) {
	c := r.config
	c.Programs = map[string]supervise.Program{}
	var from *config.Loaded
	if r.file != "" {
		var err error
		if from, err = config.Load(&c, config.Sources{File: r.file}); err != nil {
			return c, nil, err
		}
	} else {
		r.program.Command = args
		r.program.Restart = lifecycle.Restart(r.restart)
		c.Programs[shell.First(r.name, filepath.Base(args[0]))] = r.program
		if err := errors.Join(r.program.Validate(), c.Log.Validate(), c.Validate()); err != nil {
			return c, nil, shell.Exit(shell.ExitUsage, err)
		}
	}
	if r.at.runtime != "" || c.Runtime == "" {
		c.Runtime = r.at.directory(env)
	}
	var err error
	c.Runtime, err = filepath.Abs(c.Runtime)
	return c, from, err
}

func (r *runner) run(cmd *cobra.Command, env shell.Env, args []string) error {
	c, _, err := r.configuration(env, args)
	if err != nil {
		return err
	}
	sender, err := notify.FromEnvironment()
	if err != nil {
		return err
	}
	var again supervise.Reader
	if r.file != "" {
		again = func() (supervise.Config, *config.Loaded, error) { return r.configuration(env, nil) }
	}
	m, err := supervise.New(cmd.Context(), supervise.Options{
		Config: c, Read: again, Environ: append(env.Environ, envRuntime+"="+c.Runtime), Stdout: env.Stdout, Sender: sender, Now: env.Now, Chance: rand.Float64,
		Shim: []string{os.Args[0], "supervise", "become", "--"},
	})
	if err != nil {
		return err
	}
	return r.serve(cmd.Context(), env.Stderr, m)
}

// serve runs the manager with its control socket and its signals until it ends.
func (r *runner) serve(ctx context.Context, stderr io.Writer, m *supervise.Manager) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	over, end := context.WithCancel(context.WithoutCancel(ctx))
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer end()
	came := make(chan os.Signal, 16)
	signal.Notify(came, syscall.SIGTERM, os.Interrupt, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(came)
	var reloads chan struct{} // nil without a file
	if r.file != "" {
		reloads = make(chan struct{}, 1)
		helpers.Go(func() { reload(over, reloads, m) })
	}
	helpers.Go(func() { obey(over, came, reloads, m, stop) })
	mode := os.FileMode(0o600)
	if r.group {
		mode = 0o660
	}
	helpers.Go(func() {
		if err := control.Serve(over, supervise.ControlSocket(m.Runtime()), mode, m, func() {}); err != nil {
			fmt.Fprintf(stderr, "penstock: %v; the programs go on, and the manager cannot be asked\n", err)
		}
	})
	return m.Run(ctx)
}

// reload has the manager read its file again whenever it is asked to, until ctx ends.
func reload(ctx context.Context, asked <-chan struct{}, m *supervise.Manager) {
	for {
		select {
		case <-asked:
			_ = m.Reload(func(supervise.Change) {}) // its log says all
		case <-ctx.Done():
			return
		}
	}
}

// obey does what signals ask for until ctx ends.
func obey(ctx context.Context, came <-chan os.Signal, reloads chan<- struct{}, m *supervise.Manager, stop context.CancelFunc) {
	asked := false
	for {
		select {
		case s := <-came:
			switch {
			case s == syscall.SIGHUP && reloads != nil:
				select {
				case reloads <- struct{}{}:
				default: // one that has not begun yet reads the file too
				}
			case s != os.Interrupt && s != syscall.SIGTERM:
				m.Forward(s.(syscall.Signal))
			case asked:
				_ = m.Kill(ctx) // its error comes again at the end of the manager
			default:
				asked = true
				stop()
			}
		case <-ctx.Done():
			return
		}
	}
}

// newBecome is what the manager starts where a program inherits sockets.
func newBecome() *cobra.Command {
	return &cobra.Command{
		Use: "become -- PATH [ARGUMENT]...", Short: "Become a program that inherits sockets", Hidden: true,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return process.Become(args) },
	}
}
