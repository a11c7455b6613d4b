package app

import (
	"runtime"

	"github.com/penstock/penstock/internal/api"
	"github.com/penstock/penstock/internal/app/views"
	"github.com/penstock/penstock/internal/delivery"
	"github.com/penstock/penstock/internal/health"
	"github.com/penstock/penstock/internal/metrics"
)

// measure ties the metrics that are read at a scrape to the parts that know
// them.
func (g *gateway) measure(server *api.Server) {
	one := func(name metrics.Name, read func() float64) { g.metrics.ReadOne(name, read) }
	one(metrics.Connections, func() float64 { return float64(server.Connections()) })
	one(metrics.Streams, func() float64 { return float64(server.Streams()) })
	one(metrics.SpoolBytes, func() float64 { return float64(g.spool.State().Used) })
	one(metrics.SpoolQuota, func() float64 { return float64(g.spool.State().Quota) })
	one(metrics.SpoolSegments, func() float64 { return float64(g.spool.State().Segments) })
	one(metrics.SpoolPosition, func() float64 { return float64(g.spool.Durable()) })
	one(metrics.RecordPosition, func() float64 { return float64(g.sinks.Sinks()[0].Through) })
	one(metrics.RecordSeries, func() float64 { return float64(g.historian.Stats().Series) })
	one(metrics.RecordSamples, func() float64 { return float64(g.historian.Stats().Samples) })
	one(metrics.RecordBytes, func() float64 { return float64(g.historian.Stats().DiskBytes) })
	one(metrics.RecordConflicts, func() float64 { return float64(g.historian.Stats().Conflicts) })
	one(metrics.Controllers, func() float64 { return float64(len(g.fleet.Controllers())) })
	one(metrics.CertExpiry, func() float64 { return float64(g.tls.Expiry().Unix()) })
	one(metrics.Quarantined, func() float64 {
		named, _ := g.intake.Totals()
		return float64(named.Quarantined)
	})
	one(metrics.Refused, func() float64 { return float64(g.doors.Gate.Refused()) })
	one(metrics.Headless, func() float64 { return float64(g.doors.Balancers.Refused()) })
	one(metrics.SpansLost, func() float64 { return float64(g.traces.Lost()) })
	one(metrics.ScriptStuck, func() float64 { return float64(g.scripts.Stuck()) })
	g.metrics.Read(metrics.ReportsByResult, g.readBooks)
	g.metrics.Read(metrics.Nameless, func(yield func(float64, ...string)) {
		for reason, n := range (views.Books{Intake: g.intake}).Nameless() {
			yield(float64(n), string(reason))
		}
	})
	g.metrics.Read(metrics.LinkEvents, func(yield func(float64, ...string)) {
		for _, port := range g.evidence.Ports() {
			for event, n := range port.Counts {
				yield(float64(n), port.Name, event.String())
			}
		}
	})
	g.metrics.Read(metrics.Verdicts, func(yield func(float64, ...string)) {
		for cause, n := range g.verdicts.Counts() {
			yield(float64(n), string(cause))
		}
	})
	g.measureSinks()
	g.metrics.Read(metrics.ComponentOK, func(yield func(float64, ...string)) {
		for _, c := range g.health.Snapshot().Components {
			ok := 0.0
			if c.Status == health.OK {
				ok = 1
			}
			yield(ok, c.Name)
		}
	})
	g.metrics.Read(metrics.BuildInfo, func(yield func(float64, ...string)) {
		yield(1, g.Version, runtime.Version())
	})
}

// readBooks yields the sums of the controllers' books by result.
func (g *gateway) readBooks(yield func(float64, ...string)) {
	named, _ := g.intake.Totals()
	yield(float64(named.Accepted), "accepted")
	yield(float64(named.Duplicate), "duplicate")
	for reason, n := range named.Rejected {
		yield(float64(n), string(reason))
	}
}

// measureSinks ties the metrics of the sinks to them.
func (g *gateway) measureSinks() {
	each := func(name metrics.Name, read func(s *delivery.Status) float64) {
		g.metrics.Read(name, func(yield func(float64, ...string)) {
			for _, s := range g.sinks.Sinks() {
				yield(read(&s), s.Name)
			}
		})
	}
	each(metrics.SinkBacklog, func(s *delivery.Status) float64 { return float64(s.Backlog.Reports) })
	each(metrics.SinkBytes, func(s *delivery.Status) float64 { return float64(s.Backlog.Bytes) })
	each(metrics.SinkAge, func(s *delivery.Status) float64 { return s.Backlog.Age.Seconds() })
	each(metrics.SinkHeld, func(s *delivery.Status) float64 { return float64(s.Books.Quarantined) })
	g.metrics.Read(metrics.SinkState, func(yield func(float64, ...string)) {
		for _, s := range g.sinks.Sinks() {
			yield(1, s.Name, string(s.State))
		}
	})
	g.metrics.Read(metrics.SinkReports, func(yield func(float64, ...string)) {
		for _, s := range g.sinks.Sinks() {
			yield(float64(s.Books.Delivered), s.Name, "delivered")
			yield(float64(s.Books.Discarded), s.Name, "discarded")
			yield(float64(s.Books.Dropped), s.Name, "dropped")
			yield(float64(s.Books.Refed), s.Name, "fed_again")
		}
	})
}
