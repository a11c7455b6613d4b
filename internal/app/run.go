package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api"
	"github.com/penstock/penstock/internal/api/ops"
	"github.com/penstock/penstock/internal/app/changes"
	"github.com/penstock/penstock/internal/app/datadir"
	"github.com/penstock/penstock/internal/app/doors"
	"github.com/penstock/penstock/internal/app/gaps"
	"github.com/penstock/penstock/internal/app/herald"
	"github.com/penstock/penstock/internal/app/pace"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/app/sockets"
	"github.com/penstock/penstock/internal/app/views"
	"github.com/penstock/penstock/internal/app/watch"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/console"
	"github.com/penstock/penstock/internal/health"
	"github.com/penstock/penstock/internal/historian"
	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/internal/memory"
	"github.com/penstock/penstock/internal/notify"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/tlsfiles"
)

// Options are what a gateway needs beside its configuration.
type Options struct {
	Config     settings.Config
	Asked      func(context.Context) error      // waits until a signal asks to read the configuration again
	Load       func() (*settings.Config, error) // reads the configuration again; its error says what does not hold
	ConfigFile string                           // where the configuration comes from; empty for none
	AllowRoot  bool
	TakeOver   time.Duration // how long to wait for another process to give the data directory up
	Lever      string        // file that slows the store down in a drill; empty but there
	Version    string
	Logs       *logging.Logs
	Printed    func() ([]byte, error) // the configuration as YAML, secrets redacted
	Now        func() time.Time
	Started    func(Started) // called once, when the gateway answers
}

// Started says where a gateway is to be found.
type Started struct {
	Addresses   []datadir.Address
	Data        string // absolute path
	Certificate string // file
	Fingerprint string // SHA-256
	TokenFile   string // of the first admin token; empty when it is no longer there
}

// The intervals of what is done again and again.
const (
	watchEvery      = 250 * time.Millisecond
	flushEvery      = 5 * time.Second
	checkpointEvery = 30 * time.Second
	retentionEvery  = time.Hour
	reloadEvery     = time.Minute
)

// Run runs a gateway until ctx ends, and returns when everything has stopped.
func Run(ctx context.Context, o Options) error {
	if err := checkRoot(o, os.Geteuid()); err != nil {
		return err
	}
	syscall.Umask(0o027) // nothing that the node makes is for strangers
	sender, err := notify.FromEnvironment()
	if err != nil {
		return err
	}
	h := herald.New(sender, o.Logs.Logger())
	dir, err := datadir.Await(ctx, o.Config.Data, max(o.TakeOver, sender.TakeOver()), h.AwaitPredecessor)
	if err != nil {
		return err
	}
	defer dir.Close()
	doors, err := doors.Open(o.Config.Listen, o.Logs.Logger(), o.Now)
	if err != nil {
		return err
	}
	l, err := openListeners(o.Config.Listen, doors)
	if err != nil {
		return err
	}
	defer l.close()
	host, _ := os.Hostname() // the name is for people alone
	var n *node
	h.WhileStarting(func() {
		opening := nodeOptions{config: o.Config, fs: vfs.Default, dir: dir.Path(), name: host, version: o.Version, log: o.Logs.Logger(), now: o.Now, lever: o.Lever}
		if n, err = openNode(opening); err != nil {
			return
		}
		if err = n.fits(ctx, opening); err != nil {
			err = errors.Join(err, n.close())
		}
	})
	if err != nil {
		return err
	}
	g := &gateway{Options: o, node: n, dir: dir, listeners: l, Log: o.Logs.Logger(), herald: h, doors: doors}
	g.memory = n.guard(o.Config.Memory)
	g.watcher = g.newWatcher()
	g.reloader = g.newReloader()
	return errors.Join(g.serve(ctx), n.close())
}

// checkRoot refuses what root should not do: an installed gateway has an account
// of its own. Root is account 0.
func checkRoot(o Options, account int) error {
	if account != 0 || o.AllowRoot {
		return nil
	}
	data, err := filepath.Abs(o.Config.Data)
	if err != nil {
		return err
	}
	if strings.HasPrefix(data, "/var/") || os.Getenv("INVOCATION_ID") != "" {
		return penstock.Errorf(penstock.Forbidden, "the gateway does not run as root: give it an account of its own, or say --allow-root")
	}
	o.Logs.Logger().Warn("the gateway runs as root; an account of its own is safer")
	return nil
}

// listeners are the sockets of a gateway.
type listeners struct {
	https, health net.Listener // health is nil when it is off
	inherited     sockets.Set  // handed over, for the sources too
}

func openListeners(c settings.Listen, doors doors.Doors) (_ listeners, err error) {
	inherited, err := sockets.Inherit()
	if err != nil {
		return listeners{}, err
	}
	l := listeners{inherited: inherited}
	defer func() {
		if err != nil {
			inherited.Close()
		}
	}()
	if l.https, err = inherited.Listen("https", "listen.https", c.HTTPS); err != nil {
		return l, err
	}
	l.https = doors.Clients(l.https)
	if c.Health == config.AddressOff {
		return l, nil
	}
	if l.health, err = inherited.Listen("health", "listen.health", c.Health); err != nil {
		l.https.Close()
		return l, err
	}
	l.health = doors.Machines(l.health)
	return l, nil
}

func (l listeners) close() {
	l.https.Close()
	if l.health != nil {
		l.health.Close()
	}
	l.inherited.Close()
}

// gateway is a node with its listeners.
type gateway struct {
	Options
	*node
	Log       *slog.Logger
	dir       *datadir.Directory
	listeners listeners
	herald    herald.Herald
	doors     doors.Doors
	watcher   *watch.Watcher
	memory    *memory.Guard
	tls       *tlsfiles.Files
	bound     *datadir.Bound
	reloader  *changes.Reloader
}

// serve answers until ctx ends or a part fails, and stops in good order: first
// the word that nothing new is taken, then the API with what is under way, then
// the rest.
func (g *gateway) serve(ctx context.Context) error {
	server, started, err := g.prepare()
	if err != nil {
		return err
	}
	var work sync.WaitGroup
	defer work.Wait()
	inner, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	part := func(name string, run func(context.Context) error) {
		work.Go(func() {
			if err := run(inner); err != nil && inner.Err() == nil {
				stop(penstock.Errorf(penstock.CodeOf(err), "%s: %w", name, err))
			}
		})
	}
	if g.listeners.health != nil {
		h := health.NewServer(g.health, g.listeners.health, g.metrics.Handler(g.Log), g.Log)
		part("health", h.Run)
	}
	delivering, stopDelivery := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDelivery()
	part("delivery", func(context.Context) error { return g.sinks.Run(delivering) })
	part("newcomers", g.meetNewcomers)
	part("diagnosis", g.verdicts.Run)
	sources := g.newSources()
	part("sources", func(ctx context.Context) error {
		defer stopDelivery() // the sources give leases up, which are in the record
		return sources.Run(ctx)
	})
	g.reloader.Begin(func(next *settings.Config) { g.follow(next, sources) })
	part("configuration", func(ctx context.Context) error { return g.reloader.Run(ctx, g.Asked) })
	part("upkeep", g.upkeep)
	part("memory", func(ctx context.Context) error { g.memory.Run(ctx); return nil })
	part("admin socket", g.answerLocally)
	part("flow", func(ctx context.Context) error { g.watcher.Run(ctx); return nil })
	part("collector", func(ctx context.Context) error { pace.Collector(ctx); return nil })
	part("certificates", func(ctx context.Context) error { g.tls.Watch(ctx, reloadEvery); return nil })
	for _, name := range g.listeners.inherited.Unused(&g.Config) {
		g.Log.Warn("a socket was handed over that the configuration has no listener for: who connects to it waits for ever", "name", name)
	}
	part("herald", func(ctx context.Context) error {
		g.herald.Run(ctx, herald.Subject{Spool: g.spool.State, Flows: g.watcher.Healthy, Health: g.health.Snapshot})
		return nil
	})
	outer, stopAPI := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAPI()
	drain := sync.OnceFunc(func() { // whoever asks hears it before the first connection is closed
		g.Log.Info("the gateway stops: it answers what is under way and takes nothing new")
		g.health.Drain()
		g.herald.Stopping()
		doors.AwaitBalancers(inner, g.Config.Listen.Draining()) // not when a part failed
		stopAPI()
	})
	defer context.AfterFunc(ctx, drain)()
	defer context.AfterFunc(inner, drain)()
	g.Log.Info("the gateway runs", "version", g.Version, "data", started.Data)
	work.Go(func() { g.tell(inner, started) })
	g.herald.Ready()
	err = server.Run(outer, g.memory.Handler(g.pipeline))
	stop(nil)
	work.Wait()
	if err = errors.Join(err, g.checkpoint(g.Now()), failure(inner)); err == nil {
		g.Log.Info("the gateway has stopped in good order")
	}
	return err
}

// failure returns why the parts were stopped, nil when they were only told to.
func failure(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// prepare makes the certificate, the first token and the API, and tells others
// where the gateway listens.
func (g *gateway) prepare() (*api.Server, Started, error) {
	var err error
	c := g.Config.TLS
	g.tls, err = tlsfiles.Open(tlsfiles.Options{
		Dir: g.dir.File("tls"), CertFile: c.Cert, KeyFile: c.Key, ClientCA: c.ClientCA, RequireClient: c.Require, Log: component(g.Log, "tls"), Now: g.Now,
	})
	if err != nil {
		return nil, Started{}, penstock.Errorf(penstock.CodeOf(err), "tls: %w", err)
	}
	g.sinks.Env.TLS = g.tls.Config()
	started := Started{
		Data: g.dir.Path(), Certificate: g.tls.CertFile(), Fingerprint: g.tls.Fingerprint(),
		Addresses: []datadir.Address{{Key: "listen.https", Address: g.listeners.https.Addr().String()}},
	}
	if g.listeners.health != nil {
		started.Addresses = append(started.Addresses, datadir.Address{Key: "listen.health", Address: g.listeners.health.Addr().String()})
	}
	if started.TokenFile, err = g.firstToken(); err != nil {
		return nil, Started{}, err
	}
	g.bound = datadir.NewBound(g.dir, g.Log)
	if err := g.bound.Write(started.Addresses...); err != nil {
		return nil, Started{}, err
	}
	missing, err := gaps.Open(gaps.Parts{
		FS: vfs.Default, Dir: g.dir.Path(), Intake: g.intake, SameDisk: g.record.Name == settings.HistorianName, Log: g.Log,
		Health: func() gaps.Health { return g.health.Watched("restore") },
	})
	if err != nil {
		return nil, Started{}, err
	}
	pages, err := console.New()
	if err != nil {
		return nil, Started{}, err
	}
	server, err := api.New(api.Options{
		Source: "https", Listener: g.memory.Listener(g.listeners.https), TLS: g.tls.Config(), Version: g.Version,
		Auth: g.fleet, Registry: views.Registry{Fleet: g.fleet}, Sheets: views.Sheets{Fleet: g.fleet}, Historian: views.Queries{Historian: g.historian}, Ledger: views.Books{Intake: g.intake},
		Spool: g.spool, Feed: g.feed, Evidence: g.evidence, Sources: g.sourceStates, Observer: g.metrics, Delivery: api.Delivery{Sinks: views.Sinks{Set: g.sinks, Ledger: g.intake}, Held: views.Quarantine{Set: g.sinks}}, Diagnosis: g.verdicts, Ops: ops.Parts{Log: g.watcher.Log(), Flow: g.watcher, Reloader: g.reloader, Gaps: missing, Console: pages}, Log: component(g.Log, "api"), Now: g.Now,
	})
	if err != nil {
		return nil, Started{}, err
	}
	g.watcher.Connections(server.Connections)
	g.measure(server)
	return server, started, nil
}

// firstToken makes the first admin credential, and returns the file of its token
// if it is still there.
func (g *gateway) firstToken() (string, error) {
	path := g.dir.File("admin.token")
	token, err := g.fleet.EnsureAdmin(func(token string) error { return datadir.KeepFile(path, []byte(token+"\n"), 0o600) })
	if err != nil {
		return "", penstock.Errorf(penstock.CodeOf(err), "first admin token: %w", err)
	}
	if token != "" {
		return path, nil
	}
	if _, err := os.Stat(path); err != nil {
		return "", nil // the operator took it away, as is good
	}
	return path, nil
}

// upkeep does what is done again and again.
func (g *gateway) upkeep(ctx context.Context) error {
	watch, flush := time.NewTicker(watchEvery), time.NewTicker(flushEvery)
	checkpoint, retention := time.NewTicker(checkpointEvery), time.NewTicker(retentionEvery)
	for _, t := range []*time.Ticker{watch, flush, checkpoint, retention} {
		defer t.Stop()
	}
	g.watch()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-watch.C:
			g.watch()
			g.complain("the spool could not be given space back", g.press())
		case <-flush.C:
			g.complain("the fleet could not be written", g.fleet.Flush())
			g.complain("what the script keeps could not be written", g.scripts.Flush())
		case <-checkpoint.C:
			g.complain("the ledger's snapshot could not be written", g.checkpoint(g.Now()))
		case <-retention.C:
			g.complain("old samples could not be deleted", g.retain(ctx))
		}
	}
}

func (g *gateway) complain(what string, err error) {
	if err != nil {
		g.Log.Error(what+"; it is tried again", "error", err)
	}
}

// watch keeps readiness true to whether a report can be acknowledged, and tells
// of a store that only a restart can mend.
func (g *gateway) watch() {
	if err := errors.Join(g.store.Dead(), g.store.Trouble()); err != nil {
		g.storeHealth.Failing(err.Error())
	} else {
		g.storeHealth.OK()
	}
	s := g.spool.State()
	if s.Health == spool.Healthy {
		g.spoolHealth.OK()
		return
	}
	g.spoolHealth.Failing(s.Why.Error())
}

// retain deletes the days that are past their retention.
func (g *gateway) retain(ctx context.Context) error {
	keep := g.reloader.Config().Historian.Retention.Std()
	if keep == 0 {
		return nil
	}
	return g.historian.DropBefore(ctx, historian.DayOf(g.Now().Add(-keep).UnixNano()))
}
