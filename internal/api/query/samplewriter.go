package query

import (
	"cmp"

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
	q, at := *w.q, place{}
	if k := q.after; k != nil {
		switch compareNames(s.Controller, s.Point, k.controller, k.point) {
		case -1:
			return nil
		case 0:
			q.from = max(q.from, k.time)
			at.skip, at.skipTime = k.skip, k.time
		}
	}
	w.buf.Bytes = w.table.BeginSeries(w.buf.Bytes, render.Series{Controller: s.Controller, Point: s.Point, Unit: s.Unit})
	for r, err := range read(w.c.R.Context(), &q, s.ID) {
		if err != nil {
			return ours(err)
		}
		if at.passed(r.time) {
			continue
		}
		if q.limit > 0 && w.count == q.limit {
			k := cursor{from: w.q.from, to: w.q.to, controller: s.Controller, point: s.Point, time: max(r.time, w.q.from), skip: at.same - 1}
			w.next = k.String()
			break
		}
		w.count++
		w.buf.Bytes = w.table.Sample(w.buf.Bytes, r.time, r.value, r.status)
		if len(w.buf.Bytes) < flushAt {
			continue
		}
		if err := w.c.Send(w.buf); err != nil {
			return err
		}
	}
	w.buf.Bytes = w.table.EndSeries(w.buf.Bytes)
	return nil
}

// compareNames orders series as answers have them.
func compareNames(controller, point, controller2, point2 string) int {
	return cmp.Or(cmp.Compare(controller, controller2), cmp.Compare(point, point2))
}

// place counts the readings of one time, which may be many, and passes over
// those that an earlier page gave.
type place struct {
	begun    bool
	time     int64
	same     uint64 // readings of this time so far
	skip     uint64 // so many readings of skipTime were given
	skipTime int64
}

// passed takes the next reading into account and tells whether an earlier page
// gave it.
func (p *place) passed(t int64) bool {
	if !p.begun || t != p.time {
		p.begun, p.time, p.same = true, t, 0
	}
	p.same++
	return t == p.skipTime && p.same <= p.skip
}

func (w *sampleWriter) end() error {
	w.buf.Bytes = w.table.End(w.buf.Bytes, w.next)
	err := w.c.Send(w.buf)
	if w.q.limit > 0 && w.q.format == render.CSV {
		w.c.Header().Set(trailerNext, w.next)
	}
	return err
}
