package query

import (
	"math"

	"github.com/penstock/penstock/internal/api/render"
	"github.com/penstock/penstock/internal/api/web"
)

// flushAt is how much of an answer is gathered before it is sent.
const flushAt = 32 << 10

// sampleWriter streams an answer with samples. Until the first part is sent an
// error still becomes a problem.
type sampleWriter struct {
	c     *web.Call
	q     *sampleQuery
	table render.Table
	buf   *web.Body
	count int    // samples given
	next  string // where the answer was cut
}

// trailerNext carries next where the format has no place for it.
const trailerNext = "Penstock-Next"

func newSampleWriter(c *web.Call, q *sampleQuery) *sampleWriter {
	w := &sampleWriter{c: c, q: q, table: render.Table{Format: q.format, Time: q.time}, buf: c.NewBody()}
	c.Header().Set("Content-Type", q.format.MediaType())
	c.Header().Set("Vary", "Accept")
	if q.limit > 0 && q.format == render.CSV {
		c.Header().Set("Trailer", trailerNext)
	}
	w.buf.Bytes = w.table.Begin(w.buf.Bytes)
	return w
}

// series writes one series, or what is left of it behind the cursor.
func (w *sampleWriter) series(s Series, read reader) error {
	q, skip := *w.q, uint64(0)
	if k := q.after; k != nil {
		if s.Controller < k.controller || s.Controller == k.controller && s.Point < k.point {
			return nil
		}
		if s.Controller == k.controller && s.Point == k.point {
			q.from, skip = max(q.from, k.time), k.skip
		}
	}
	w.buf.Bytes = w.table.BeginSeries(w.buf.Bytes, render.Series{Controller: s.Controller, Point: s.Point, Unit: s.Unit})
	last, same := int64(math.MinInt64), uint64(0) // how many of the last time there were
	for r, err := range read(w.c.R.Context(), &q, s.ID) {
		if err != nil {
			return err
		}
		if r.time != last {
			last, same = r.time, 0
		}
		same++
		if w.q.after != nil && same <= skip && r.time == w.q.after.time {
			continue
		}
		if q.limit > 0 && w.count == q.limit {
			k := cursor{from: w.q.from, to: w.q.to, controller: s.Controller, point: s.Point, time: max(r.time, w.q.from), skip: same - 1}
			w.next = k.String()
			break
		}
		w.buf.Bytes = w.table.Sample(w.buf.Bytes, r.time, r.value, r.status)
		w.count++
		if len(w.buf.Bytes) >= flushAt {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	w.buf.Bytes = w.table.EndSeries(w.buf.Bytes)
	return nil
}

func (w *sampleWriter) flush() error {
	w.c.Extend()
	_, err := w.c.Write(w.buf.Bytes)
	w.buf.Bytes = w.buf.Bytes[:0]
	return err
}

func (w *sampleWriter) end() error {
	w.buf.Bytes = w.table.End(w.buf.Bytes, w.next)
	err := w.flush()
	if w.q.limit > 0 && w.q.format == render.CSV {
		w.c.Header().Set(trailerNext, w.next)
	}
	return err
}
