package query

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/problem"
	"github.com/penstock/penstock/internal/api/web"
)

// reading is one row of an answer.
type reading struct {
	time   int64
	value  penstock.Value
	status penstock.Status
}

// samples answers GET /v1/query.
func (h *Handler) samples(c *web.Call) error {
	q, err := parseSamples(c)
	if err != nil {
		return err
	}
	return h.answer(c, &q, h.readings)
}

// latest answers GET /v1/latest.
func (h *Handler) latest(c *web.Call) error {
	q := sampleQuery{}
	if err := parseShape(c, &q); err != nil {
		return err
	}
	return h.answer(c, &q, func(ctx context.Context, _ *sampleQuery, id uint64) iter.Seq2[reading, error] {
		return func(yield func(reading, error) bool) {
			s, ok, err := h.historian.Latest(ctx, id)
			if ok || err != nil {
				yield(reading{s.SourceTime, s.Value, s.Status}, err)
			}
		}
	})
}

// readings returns what the query asks of one series.
func (h *Handler) readings(ctx context.Context, q *sampleQuery, id uint64) iter.Seq2[reading, error] {
	return func(yield func(reading, error) bool) {
		if q.step > 0 {
			for b, err := range h.historian.Aggregates(ctx, id, q.from, q.to, q.step) {
				if !yield(reading{b.Start, q.agg(&b), b.Worst}, err) {
					return
				}
			}
			return
		}
		for s, err := range h.historian.Samples(ctx, id, q.from, q.to) {
			if !yield(reading{s.SourceTime, s.Value, s.Status}, err) {
				return
			}
		}
	}
}

// reader returns what a query asks of the series with an id.
type reader func(ctx context.Context, q *sampleQuery, id uint64) iter.Seq2[reading, error]

// answer streams the readings of all series that the query names.
func (h *Handler) answer(c *web.Call, q *sampleQuery, read reader) error {
	leave, err := enter(h.queries, "queries")
	if err != nil {
		return err
	}
	defer leave()
	if err := h.settled(c); err != nil {
		return err
	}
	series := h.historian.Series(q.selector)
	// The historian applies the scope; that it does is too important to trust to
	// one place.
	series = slices.DeleteFunc(series, func(s Series) bool { return !c.Who.Scope.Covers(s.Controller) })
	slices.SortFunc(series, func(a, b Series) int {
		return compareNames(a.Controller, a.Point, b.Controller, b.Point)
	})
	w := newSampleWriter(c, q)
	defer w.buf.Free()
	for _, s := range series {
		if w.next != "" {
			break
		}
		if err := w.series(s, read); err != nil {
			return err
		}
	}
	return w.end()
}

// settled waits until the record has what was durable when the request came.
func (h *Handler) settled(c *web.Call) error {
	ctx, cancel := context.WithTimeout(c.R.Context(), h.limits.Settle)
	defer cancel()
	err := h.historian.Wait(ctx, h.spool.Durable())
	if errors.Is(err, context.DeadlineExceeded) {
		return &problem.Error{Kind: problem.Unavailable, RetryAfter: 5 * time.Second,
			Detail: "The record is behind: what was accepted before this request is not in it after " + h.limits.Settle.String() + "."}
	}
	return ours(err)
}

// ours turns an error of the record into one that does not blame the caller:
// damage in a store is no damage in the request.
func ours(err error) error {
	if err == nil || penstock.CodeOf(err).Temporary() || penstock.CodeOf(err) == penstock.Closed {
		return err
	}
	return penstock.Errorf(penstock.Internal, "the record: %w", err)
}
