package app

import (
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/app/verdicts"
	"github.com/penstock/penstock/internal/diagnose"
	"github.com/penstock/penstock/internal/health"
	"github.com/penstock/penstock/internal/live"
	"github.com/penstock/penstock/internal/metrics"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/tracing"
)

// openVerdicts makes the desk of the diagnosis, which sees what comes to the intake.
func (n *node) openVerdicts(o nodeOptions) (err error) {
	n.knowLines(o.config.Sources)
	n.verdicts, err = verdicts.Open(verdicts.Options{
		Config: o.config.Diagnose, Table: n.store.Table("commission"), Fleet: n.fleet, Evidence: n.evidence, Intake: n.intake, Next: n.openNewcomers(o),
		Node: n.condition, Failing: n.failing, IsLine: func(source string) bool { return (*n.lines.Load())[source] }, Log: o.log, Now: o.now,
		Changed: func(to diagnose.Cause, controllers int) {
			n.metrics.Add(metrics.VerdictChanges, float64(controllers), string(to))
		},
	})
	return err
}

// knowLines notes which of the sources are lines that their controllers share.
func (n *node) knowLines(sources []settings.Source) {
	lines := map[string]bool{}
	for i := range sources {
		s := &sources[i]
		lines[s.Name] = s.Link != nil || s.Modbus != nil || s.Framed != nil
	}
	n.lines.Store(&lines)
}

// condition is how the spool and the record are.
func (n *node) condition() diagnose.Node {
	c := diagnose.Node{Durable: uint64(n.spool.Durable()), Settled: uint64(n.historian.Through())}
	if s := n.spool.State(); s.Health != spool.Healthy {
		c.Spool = s.Why.Error()
	}
	if err := n.store.Dead(); err != nil {
		c.Store = err.Error()
	}
	for _, k := range n.health.Snapshot().Components {
		if k.Name == "record" && k.Status != health.OK && c.Store == "" {
			c.Store = k.Why
		}
	}
	return c
}

// failing returns why sources fail.
func (n *node) failing() map[string]string {
	why := map[string]string{}
	for _, k := range n.health.Snapshot().Components {
		if name, ok := strings.CutPrefix(k.Name, "source "); ok && k.Status != health.OK {
			why[name] = k.Why
		}
	}
	return why
}

// settled is the feed of what the record has, which the diagnosis sees too.
type settled struct {
	*live.Feed
	verdicts *verdicts.Desk
	traces   *tracing.Tracer
}

// Publish implements sink.Feed.
func (s settled) Publish(rs []*penstock.Report) {
	s.verdicts.Settled(rs)
	s.traces.Settled(rs)
	s.Feed.Publish(rs)
}
