package tracing

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/penstock/penstock"
)

// Options are what a [Tracer] works with.
type Options struct {
	Config  Config
	Node    string // the name of this node for people
	Version string
	Log     *slog.Logger
	Now     func() time.Time
}

// Tracer follows envelopes. It is safe for concurrent use. A nil *Tracer follows
// none.
type Tracer struct {
	opt      Options
	provider *trace.TracerProvider
	tracer   oteltrace.Tracer
	reader   propagation.TraceContext
	seen     atomic.Uint64
	allowed  allowance
	export   *exporter

	mu        sync.Mutex
	unsettled map[report]*follow // reports on the way to the record
}

// The bounds of what is remembered.
const (
	maxUnsettled = 10_000
	maxReports   = 16               // of one envelope
	maxQueue     = 8192             // spans that wait for the collector
	patience     = 10 * time.Minute // with the record
	exportEvery  = 2 * time.Second
	exportWait   = 10 * time.Second
)

// report names a report until it is in the record.
type report struct {
	controller string
	identity   penstock.Identity
}

// follow is a report that is followed until it is in the record. The record may have
// it before the sender was told that it is durable. The tracer's mutex guards it.
type follow struct {
	report
	since   time.Time
	span    oteltrace.Span // from when it was durable; nil before
	settled time.Time      // zero before
}

// end ends the span, which says so when the record never had it.
func (f *follow) end(now time.Time) {
	if f.settled.IsZero() {
		f.span.SetStatus(codes.Error, "the record did not have it by then")
	}
	f.span.End(oteltrace.WithTimestamp(now))
}

// New returns a tracer, nil when the configuration names no collector. The
// collector is not asked: it may come later.
func New(o Options) (*Tracer, error) {
	if o.Config.Endpoint == "" {
		return nil, nil
	}
	server, err := o.Config.server()
	if err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "trace.endpoint: %w", err)
	}
	if o.Config.Most == 0 {
		o.Config.Most = defaultMost
	}
	to, err := newExporter(&o.Config, server)
	if err != nil {
		return nil, err
	}
	t := &Tracer{opt: o, unsettled: map[report]*follow{}, export: &exporter{to: to, log: o.Log, now: o.Now},
		allowed: allowance{most: o.Config.Most}}
	t.provider = trace.NewTracerProvider(
		trace.WithSampler(trace.AlwaysSample()), // it was decided by who follows
		trace.WithBatcher(t.export, trace.WithBatchTimeout(exportEvery), trace.WithMaxQueueSize(maxQueue), trace.WithExportTimeout(exportWait)),
		trace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "penstock"), attribute.String("service.version", o.Version), attribute.String("service.instance.id", o.Node))),
	)
	t.tracer = t.provider.Tracer("github.com/penstock/penstock")
	return t, nil
}

// Close sends what waits to be sent, for as long as ctx allows.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Lost returns how many spans the collector did not take.
func (t *Tracer) Lost() uint64 {
	if t == nil {
		return 0
	}
	return t.export.lost.Load()
}

// Follow returns what is told of the envelope's way; nil for one that nobody
// follows.
func (t *Tracer) Follow(e *penstock.Envelope) *Trail {
	if t == nil {
		return nil
	}
	ctx := context.Background()
	asked := false
	if e.Properties["traceparent"] != "" {
		ctx = t.reader.Extract(ctx, propagation.MapCarrier(e.Properties))
		asked = oteltrace.SpanContextFromContext(ctx).IsSampled()
	}
	if !asked && !t.drawn() || !t.allowed.take(t.opt.Now()) {
		return nil
	}
	received := time.Unix(0, e.ReceivedTime)
	_, span := t.tracer.Start(ctx, "receive", oteltrace.WithTimestamp(received), oteltrace.WithSpanKind(oteltrace.SpanKindServer),
		oteltrace.WithAttributes(attribute.String("penstock.source", e.Source), attribute.String("network.peer.address", e.Peer),
			attribute.Int("penstock.bytes", len(e.Body))))
	return &Trail{tracer: t, span: span, last: t.opt.Now()}
}

// drawn tells whether the next envelope is one of the share: evenly spread, so
// that few suffice to be one.
func (t *Tracer) drawn() bool {
	if t.opt.Config.Share == 0 {
		return false
	}
	n := float64(t.seen.Add(1))
	return uint64(n*t.opt.Config.Share) != uint64((n-1)*t.opt.Config.Share)
}

// Settled tells which reports the record has now.
func (t *Tracer) Settled(rs []*penstock.Report) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.unsettled) == 0 {
		return
	}
	now := t.opt.Now()
	for _, r := range rs {
		at := report{r.Controller, r.Identity}
		if f := t.unsettled[at]; f != nil {
			delete(t.unsettled, at)
			f.settled = now
			if f.span != nil {
				f.end(now)
			}
		}
	}
}

// expect follows a report until it is in the record; nil when too many are followed.
// Those that have waited for long end without.
func (t *Tracer) expect(r report) *follow {
	now := t.opt.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.unsettled) >= maxUnsettled {
		for at, old := range t.unsettled {
			if now.Sub(old.since) > patience {
				delete(t.unsettled, at)
				if old.span != nil {
					old.end(now)
				}
			}
		}
	}
	if len(t.unsettled) >= maxUnsettled {
		return nil
	}
	f := &follow{report: r, since: now}
	t.unsettled[r] = f
	return f
}

// durable gives the report a span that ends when it is in the record.
func (t *Tracer) durable(f *follow, span oteltrace.Span) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.span = span; !f.settled.IsZero() {
		f.end(t.opt.Now())
	}
}

// forget follows the report no longer: nothing of it comes to the record.
func (t *Tracer) forget(f *follow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.unsettled[f.report] == f {
		delete(t.unsettled, f.report)
	}
}
