package app

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/mappings"
	"github.com/penstock/penstock/internal/app/scripts"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/app/slowdisk"
	"github.com/penstock/penstock/internal/app/verdicts"
	"github.com/penstock/penstock/internal/app/views"
	"github.com/penstock/penstock/internal/delivery"
	"github.com/penstock/penstock/internal/delivery/keep"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/flow"
	"github.com/penstock/penstock/internal/health"
	"github.com/penstock/penstock/internal/historian"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/live"
	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/internal/metrics"
	"github.com/penstock/penstock/internal/newcomer"
	"github.com/penstock/penstock/internal/pipeline"
	"github.com/penstock/penstock/internal/script"
	"github.com/penstock/penstock/internal/shelf"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/store"
	"github.com/penstock/penstock/internal/tracing"
)

// node is the durable part of a gateway and what works on it, without the
// listeners: what a crash test takes down and brings up again.
type node struct {
	log       *slog.Logger
	store     *store.Store
	historian *historian.Historian
	spool     *spool.Spool
	fleet     *fleet.Fleet
	intake    *intake.Intake
	pipeline  *pipeline.Pipeline
	feed      *live.Feed
	evidence  *evidence.Book
	verdicts  *verdicts.Desk
	health    *health.Health
	metrics   *metrics.Set
	flow      *flow.Book
	traces    *tracing.Tracer // nil when nobody is told
	outgoing
	rules
	keys

	spoolHealth, storeHealth *health.Component

	closers []func() error // in the order of opening
}

// keys are what the node seals with.
type keys struct {
	ring    *keyring.Keyring
	keysDir string // of the key-encryption key
}

// outgoing is what stands behind the spool.
type outgoing struct {
	self   *sink.Self
	sinks  *delivery.Set
	keeper *keep.Keeper
	record sink.Spec // the system of record, for as long as the node runs
	// newcomers asks a record that other nodes share; nil where it stands on this disk.
	newcomers *newcomer.Desk
}

// rules are what the configuration says and can say anew while the gateway runs.
type rules struct {
	mappings mappings.Set
	scripts  *scripts.Scripts
	lines    atomic.Pointer[map[string]bool] // sources that are lines
}

// nodeOptions are what a node is made of.
type nodeOptions struct {
	config  settings.Config
	fs      vfs.FS
	dir     string // the data directory
	name    string // of the machine, for people
	version string
	log     *slog.Logger
	now     func() time.Time
	lever   string                        // file that slows the store down in a drill; empty but there
	limit   func(flow.Part) time.Duration // after which a stage stands still; nil for the usual
}

// openNode opens everything from the disk upwards. An error leaves nothing open.
func openNode(o nodeOptions) (_ *node, err error) {
	n := &node{log: o.log, feed: live.New(live.Options{Now: o.now}), evidence: evidence.NewBook(o.now), metrics: metrics.New(), flow: flow.New(flow.Options{Now: o.now, Limit: o.limit})}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	n.health = health.New(health.Options{Now: o.now, Changed: func(component string, s health.State, why string) {
		level := slog.LevelInfo
		if s != health.OK {
			level = slog.LevelWarn
		}
		o.log.Log(context.Background(), level, "health", "component", component, "state", string(s), "why", why)
	}})
	n.spoolHealth, n.storeHealth = n.health.Needed("spool"), n.health.Watched("store")
	if n.keysDir = o.config.Keys; n.keysDir == "" {
		n.keysDir = filepath.Join(o.dir, "keys")
	}
	n.ring, err = keyring.OpenApart(o.fs, filepath.Join(o.dir, "keys"), n.keysDir, rand.Reader)
	if err != nil {
		return nil, penstock.Errorf(penstock.CodeOf(err), "keys: %w", err)
	}
	for _, note := range n.ring.Notes() {
		o.log.Warn("the keyring was mended", "note", note)
	}
	if err := n.openRecord(o, n.ring); err != nil {
		return nil, err
	}
	if err := n.openSpool(o, n.ring); err != nil {
		return nil, err
	}
	if err := n.openFleet(o); err != nil {
		return nil, err
	}
	return n, n.connect(o)
}

func (n *node) openRecord(o nodeOptions, ring *keyring.Keyring) (err error) {
	n.store, err = store.Open(store.Options{FS: slowdisk.FS(o.fs, o.lever, component(o.log, "store")), Dir: filepath.Join(o.dir, "store"), Keyring: ring, Log: component(o.log, "store")})
	if err != nil {
		return penstock.Errorf(penstock.CodeOf(err), "store: %w", err)
	}
	n.closers = append(n.closers, n.store.Close)
	n.historian, err = historian.Open(historian.Options{Store: n.store, Log: component(o.log, "historian"), Now: o.now})
	if err != nil {
		return penstock.Errorf(penstock.CodeOf(err), "historian: %w", err)
	}
	n.closers = append(n.closers, n.historian.Close)
	return nil
}

func (n *node) openSpool(o nodeOptions, ring *keyring.Keyring) (err error) {
	past, err := shelf.Highest(n.store)
	if err != nil {
		return penstock.Errorf(penstock.CodeOf(err), "sinks: %w", err)
	}
	var recovery *spool.Recovery
	n.spool, recovery, err = spool.Open(spool.Options{
		FS: o.fs, Dir: filepath.Join(o.dir, "spool"), Keyring: ring,
		SegmentBytes: int64(o.config.Spool.Segment), QuotaBytes: int64(o.config.Spool.Quota),
		Past: max(past, n.historian.Through()), Flow: n.flow, Log: component(o.log, "spool"), Now: o.now,
	})
	if err != nil {
		return penstock.Errorf(penstock.CodeOf(err), "spool: %w", err)
	}
	n.closers = append(n.closers, n.spool.Close)
	o.log.Info("the spool is open", "first", recovery.First, "last", recovery.Last, "clean", recovery.Clean, "rewritten", recovery.Rewritten)
	if through, first := n.historian.Through(), n.spool.First(); through+1 < first && o.config.RecordName() == settings.HistorianName {
		// Only a historian that was deleted or replaced by an old copy stands
		// behind what was released after it had settled it.
		o.log.Error("the historian is older than the spool: samples that it had settled are gone", "historian_at", through, "spool_from", first)
		if _, err := n.historian.Settle(context.Background(), nil, first-1); err != nil {
			return penstock.Errorf(penstock.CodeOf(err), "historian: %w", err)
		}
	}
	n.self, err = sink.OpenSelf(n.store.Table("node"), o.name, n.spool.Durable()+1, rand.Reader)
	return err
}

// openFleet opens the registry and teaches it the points that the historian
// knows.
func (n *node) openFleet(o nodeOptions) (err error) {
	n.fleet, err = fleet.Open(n.store.Table("fleet"), fleet.Options{
		Now: o.now, Rand: rand.Reader, Unknown: fleet.Policy(o.config.Unknown), Declared: o.config.Points,
	})
	if err != nil {
		return penstock.Errorf(penstock.CodeOf(err), "fleet: %w", err)
	}
	n.closers = append(n.closers, n.fleet.Flush)
	for _, s := range n.historian.Series(historian.Selector{Scope: penstock.Scope{"*"}}) {
		// Whether a whole number came with a type is not kept: any such point may
		// still become float64 once.
		provisional := s.Kind == penstock.Int64 || s.Kind == penstock.Uint64
		if err := n.fleet.LearnPoint(s.Controller, s.Point, s.Kind, s.Unit, provisional); err != nil {
			return penstock.Errorf(penstock.CodeOf(err), "points: %w", err)
		}
	}
	notes, more := n.fleet.Notes()
	for _, note := range notes {
		o.log.Warn("what was imported of a point does not hold", "why", note)
	}
	if more > 0 {
		o.log.Warn("what was imported of more points does not hold", "points", more)
	}
	return nil
}

// connect joins the opened parts.
func (n *node) connect(o nodeOptions) (err error) {
	var record intake.Record // nil where it stands elsewhere
	if o.config.RecordName() == settings.HistorianName {
		record = views.Settled{Historian: n.historian}
	}
	n.intake, err = intake.Open(intake.Options{Log: n.spool, Record: record, Replayed: n.replayed, Now: o.now})
	if err != nil {
		return err
	}
	if err := n.openTraces(o); err != nil {
		return err
	}
	if err := n.openVerdicts(o); err != nil {
		return err
	}
	if err := n.openSinks(o); err != nil {
		return err
	}
	formats, err := formats(o.config)
	if err != nil {
		return err
	}
	if err := n.mappings.Replace(o.config.Mappings); err != nil {
		return err
	}
	if err := n.openScripts(o); err != nil {
		return err
	}
	n.pipeline, err = pipeline.New(o.config.Middleware, pipeline.Deps{
		Fleet: n.fleet, Intake: n.verdicts, Formats: formats, Mapping: n.mappings.Format, Script: n.scripts,
		Evidence: n.evidence, Observer: n.flow, Flow: n.flow, Traces: n.traces, Log: component(o.log, "pipeline"), Now: o.now,
	})
	return err
}

// openScripts loads the script of the configuration, if it has one.
func (n *node) openScripts(o nodeOptions) (err error) {
	n.scripts, err = scripts.Open(o.config.Middleware, scripts.Options{
		Table: n.store.Table("script"), Log: o.log, Now: o.now,
		Failed: func(how script.Kind) { n.metrics.Add(metrics.ScriptFaults, 1, string(how)) },
	})
	if err == nil {
		n.closers = append(n.closers, n.scripts.Close)
	}
	return err
}

// replayed teaches the fleet a report that is accepted and not yet in the
// record. It was taken before, so a refusal can only come from a configuration
// that declares something else since.
func (n *node) replayed(r *penstock.Report) {
	refusal := n.fleet.Register(r)
	if refusal == nil {
		refusal = n.fleet.Learn(r, true)
	}
	if refusal != nil {
		n.log.Warn("an accepted report does not fit the configuration any more; it is delivered as it was accepted",
			"controller", r.Controller, "identity", r.Identity.String(), "reason", refusal.Reason, "detail", refusal.Detail)
	}
}

// component returns the logger of a part of the gateway, which has a level of its
// own.
func component(log *slog.Logger, name string) *slog.Logger { return log.With(logging.Component, name) }

// close closes what is open, the last opened first.
func (n *node) close() error {
	var problems []error
	for i := len(n.closers) - 1; i >= 0; i-- {
		problems = append(problems, n.closers[i]())
	}
	n.closers = nil
	return errors.Join(problems...)
}
