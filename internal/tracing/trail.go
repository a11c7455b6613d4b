package tracing

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/penstock/penstock"
)

// Trail is the way of one envelope. Its methods are called by one goroutine at a
// time. A nil *Trail is that of an envelope that nobody follows.
type Trail struct {
	tracer  *Tracer
	span    oteltrace.Span // all others belong to it
	reports []*follow      // the first of them
	all     int
	last    time.Time
	once    sync.Once
}

// Step tells that a step had the envelope between two times.
func (t *Trail) Step(name string, from, to time.Time) {
	if t == nil {
		return
	}
	t.last = to
	t.begin(name, from).End(oteltrace.WithTimestamp(to))
}

func (t *Trail) begin(name string, at time.Time, about ...attribute.KeyValue) oteltrace.Span {
	ctx := oteltrace.ContextWithSpan(context.Background(), t.span)
	_, span := t.tracer.tracer.Start(ctx, name, oteltrace.WithTimestamp(at), oteltrace.WithAttributes(about...))
	return span
}

// Report tells of one report that the envelope held, before it is admitted.
func (t *Trail) Report(r *penstock.Report) {
	if t == nil {
		return
	}
	if t.all++; t.all <= maxReports {
		t.reports = append(t.reports, t.tracer.expect(report{r.Controller, r.Identity}))
	}
}

// Durable tells how it came out, once.
func (t *Trail) Durable(o *penstock.Outcome, err error) {
	if t == nil {
		return
	}
	t.once.Do(func() { t.end(o, err) })
}

func (t *Trail) end(o *penstock.Outcome, err error) {
	now := t.tracer.opt.Now()
	t.Step("durable", t.last, now)
	t.span.SetAttributes(attribute.Int("penstock.reports", t.all))
	if len(t.reports) > 0 && t.reports[0] != nil {
		t.span.SetAttributes(attribute.String("penstock.controller", t.reports[0].controller))
	}
	if err == nil {
		err = o.Err
	}
	if err != nil {
		t.span.SetStatus(codes.Error, err.Error())
	}
	for i, f := range t.reports {
		if f == nil {
			continue
		}
		if err != nil {
			t.tracer.forget(f)
			continue
		}
		v := &o.Verdicts[i]
		t.span.AddEvent("report", oteltrace.WithTimestamp(now), oteltrace.WithAttributes(
			named(f.report, attribute.String("penstock.result", string(v.Result)), attribute.String("penstock.reason", string(v.Reason)))...))
		if v.Result == penstock.Accepted {
			t.tracer.durable(f, t.begin("settle", now, named(f.report)...))
		} else {
			t.tracer.forget(f)
		}
	}
	t.span.End(oteltrace.WithTimestamp(now))
}

func named(r report, more ...attribute.KeyValue) []attribute.KeyValue {
	return append([]attribute.KeyValue{
		attribute.String("penstock.controller", r.controller), attribute.String("penstock.identity", r.identity.String()),
	}, more...)
}
