package postgres

import (
	"context"
	"encoding/binary"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/postgres/copyrow"
	"github.com/penstock/penstock/internal/sink/postgres/judge"
)

// findPoints reads the points of the controllers that name an unknown one.
func (w *work) findPoints(ctx context.Context) error {
	stale := map[*judge.Held]bool{}
	w.EachReport(func(h *judge.Held, r *penstock.Report) {
		if !stale[h] && h.Stale(r) {
			stale[h] = true
		}
	})
	list := make([]*judge.Held, 0, len(stale))
	for h := range stale {
		list = append(list, h)
	}
	if err := w.loadPoints(ctx, list); err != nil {
		return err
	}
	return w.state.partitions.Load(ctx, w.tx)
}

// findSamples reads what stands where natural reports have samples. What is newer
// than all that the controller has needs no look.
func (w *work) findSamples(ctx context.Context) error {
	var points []int32
	var times []time.Time
	var nanos []int16
	byID := map[int32]*judge.Point{}
	w.EachReport(func(h *judge.Held, r *penstock.Report) {
		if r.Identity.Form != penstock.Natural {
			return
		}
		for i := range r.Samples {
			s := &r.Samples[i]
			p := h.Points[s.Point]
			if p == nil || s.SourceTime > h.Newest {
				continue
			}
			_, rest := copyrow.Micros(s.SourceTime)
			byID[p.ID] = p
			points, times, nanos = append(points, p.ID), append(times, copyrow.Time(s.SourceTime)), append(nanos, rest)
		}
	})
	if len(points) == 0 {
		return nil
	}
	rows, err := w.tx.Query(ctx, w.sql(`SELECT s.point, (extract(epoch FROM s.source_time) * 1000000)::bigint, s.source_nanos, s.kind,
			float8send(s.float_value), coalesce(s.int_value, 0), coalesce(s.text_value, ''), s.status, s.native
		FROM (SELECT DISTINCT * FROM unnest($1::int[], $2::timestamptz[], $3::smallint[])) AS w(point, at, nanos)
		JOIN {s}.samples s ON s.point = w.point AND s.source_time = w.at AND s.source_nanos = w.nanos`), points, times, nanos)
	if err != nil {
		return err
	}
	var id int32
	var micros int64
	var rest int16
	var c row
	_, err = pgx.ForEachRow(rows, []any{&id, &micros, &rest, &c.kind, &c.float, &c.number, &c.text, &c.status, &c.native}, func() error {
		at := judge.SampleAt{Point: byID[id], Time: nanosOf(micros, rest)}
		w.Existing[at] = append(w.Existing[at], c.content())
		return nil
	})
	return err
}

// nanosOf is the inverse of [copyrow.Micros]. The earliest microsecond that has a
// time in nanoseconds begins before the earliest nanosecond.
func nanosOf(micros int64, rest int16) int64 {
	if micros < math.MinInt64/1000 {
		return (micros+1)*1000 + int64(rest) - 1000
	}
	return micros*1000 + int64(rest)
}

// row is the content of a sample as it stands in the table.
type row struct {
	kind           int16
	float          []byte // float8send keeps all bits, text would not
	number         int64
	text           string
	status, native int32
}

func (r *row) content() judge.Content {
	c := judge.Content{Status: penstock.Status(r.status), Native: uint32(r.native)}
	switch kind := penstock.Kind(r.kind); kind {
	case penstock.Text:
		c.Value = penstock.TextValue(r.text)
	case penstock.Float64:
		if len(r.float) == 8 {
			c.Value = penstock.BitsValue(kind, binary.BigEndian.Uint64(r.float))
		}
	default:
		c.Value = penstock.BitsValue(kind, uint64(r.number))
	}
	return c
}
