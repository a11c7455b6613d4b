package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/sink/postgres/copyrow"
	"github.com/penstock/penstock/internal/sink/postgres/judge"
	"github.com/penstock/penstock/internal/sink/postgres/multirange"
	"github.com/penstock/penstock/link"
)

// digest tells a refused report from every other of its controller.
func digest(r *penstock.Report) []byte {
	id := r.Identity
	b := []byte{byte(id.Form)}
	for _, n := range []uint64{id.Epoch, id.Seq, uint64(r.Fingerprint)} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	sum := sha256.Sum256(append(b, id.Key...))
	return sum[:16]
}

// newestOf returns the time until which a report's key is kept: that of its newest
// sample, or when it came.
func newestOf(r *penstock.Report) int64 {
	newest := int64(math.MinInt64)
	for i := range r.Samples {
		newest = max(newest, r.Samples[i].SourceTime)
	}
	return max(newest, r.ReceivedTime)
}

// quarantine writes the refused reports. One that is in quarantine already, which
// only a report without a sequence can be, is a duplicate.
func (w *work) quarantine(ctx context.Context) error {
	if len(w.Refused) == 0 {
		return nil
	}
	var owners []int32
	var digests, sources, reports [][]byte
	var causes, reasons []string
	var positions, fingerprints, received, accepted []int64
	for _, f := range w.Refused {
		owners, digests = append(owners, f.Owner.ID), append(digests, digest(f.Report))
		causes, reasons = append(causes, f.Cause), append(reasons, text(f.Reason))
		positions = append(positions, int64(w.Batch.Deliveries[f.Index].Position))
		fingerprints, sources = append(fingerprints, int64(f.Report.Fingerprint)), append(sources, []byte(f.Report.Source))
		received, accepted = append(received, f.Report.ReceivedTime), append(accepted, f.Report.AcceptedTime)
		reports = append(reports, link.AppendReport(nil, f.Report))
	}
	rows, err := w.tx.Query(ctx, w.sql(`INSERT INTO {s}.quarantine
			(node, controller, digest, cause, reason, position, fingerprint, source, received, accepted, report)
		SELECT $1, * FROM unnest($2::int[], $3::bytea[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bytea[], $9::bigint[], $10::bigint[], $11::bytea[])
		ON CONFLICT (controller, digest) DO NOTHING RETURNING position`),
		w.state.node.ID, owners, digests, causes, reasons, positions, fingerprints, sources, received, accepted, reports)
	if err != nil {
		return err
	}
	kept := map[int64]bool{}
	var position int64
	if _, err := pgx.ForEachRow(rows, []any{&position}, func() error { kept[position] = true; return nil }); err != nil {
		return err
	}
	for i, f := range w.Refused {
		e := f.Owner.Epoch(f.Report.Identity)
		e.Touched = true
		if kept[positions[i]] {
			e.Counts.Quarantined++
			continue
		}
		e.Counts.Duplicates++
		w.Marks[f.Index].Settlement = penstock.StoredTwice
	}
	return nil
}

// write updates what is settled, and the node's place.
func (w *work) write(ctx context.Context) error {
	var b pgx.Batch
	w.writeEpochs(&b)
	w.writeKeys(&b)
	w.writeParked(&b)
	var positions []int64
	var settlements []int16
	for i, m := range w.Marks {
		if !m.Before && m.Settlement != penstock.Stored {
			positions, settlements = append(positions, int64(w.Batch.Deliveries[i].Position)), append(settlements, int16(m.Settlement))
		}
	}
	node := w.state.node
	if len(positions) > 0 {
		b.Queue(w.sql(`INSERT INTO {s}.outcomes (node, position, settlement) SELECT $1, * FROM unnest($2::bigint[], $3::smallint[])
			ON CONFLICT (node, position) DO UPDATE SET settlement = excluded.settlement`), node.ID, positions, settlements)
	}
	var place interval.Set
	place.Add(uint64(w.Batch.First), uint64(w.Batch.Last))
	b.Queue(w.sql(`UPDATE {s}.nodes SET settled = settled + $2::int8multirange, last = greatest(last, $3), life = $4,
		changes = changes + 1, seen = now() WHERE id = $1`), node.ID, multirange.Format(&place), int64(w.Batch.Last), node.Life())
	return w.tx.SendBatch(ctx, &b).Close()
}

// gain is what a batch adds to rows of the table settled, a column each.
type gain struct {
	owners                                                               []int32
	numbers, filled                                                      []string
	epochs, newest, reports, duplicates, quarantined, samples, conflicts []int64
}

func (g *gain) add(owner int32, number uint64, e *judge.Epoch) {
	g.owners, g.epochs = append(g.owners, owner), append(g.epochs, int64(number))
	g.numbers, g.filled = append(g.numbers, multirange.Format(&e.Added)), append(g.filled, multirange.Format(&e.Refused))
	g.newest = append(g.newest, e.Newest)
	c := e.Counts
	g.reports, g.duplicates = append(g.reports, c.Reports), append(g.duplicates, c.Duplicates)
	g.quarantined, g.samples = append(g.quarantined, c.Quarantined), append(g.samples, c.Samples)
	g.conflicts = append(g.conflicts, c.Conflicts)
}

// queue adds a statement with the columns as its arguments.
func (g *gain) queue(b *pgx.Batch, statement string) *pgx.QueuedQuery {
	return b.Queue(statement, g.owners, g.epochs, g.numbers, g.filled, g.newest, g.reports, g.duplicates, g.quarantined, g.samples, g.conflicts)
}

// gained are the columns of a gain as a table.
const gained = ` FROM unnest($1::int[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[])
	AS e(controller, epoch, numbers, filled, newest, reports, duplicates, quarantined, samples, conflicts) `

// writeEpochs adds what the batch settles to the sets and counts. Rows that were read
// behind the locks are there and are updated, for less than what it costs to let the
// server find them out; those of other epochs may be there.
func (w *work) writeEpochs(b *pgx.Batch) {
	var there, others gain
	for _, h := range w.Held {
		for number, e := range h.Epochs {
			switch {
			case !e.Touched:
			case e.Exists:
				there.add(h.ID, number, e)
			default:
				others.add(h.ID, number, e)
			}
		}
	}
	if want := int64(len(there.owners)); want > 0 {
		there.queue(b, w.sql(`UPDATE {s}.settled s SET numbers = s.numbers + e.numbers::int8multirange, filled = s.filled + e.filled::int8multirange, changes = s.changes + 1,
			newest = greatest(s.newest, e.newest), reports = s.reports + e.reports, duplicates = s.duplicates + e.duplicates,
			quarantined = s.quarantined + e.quarantined, samples = s.samples + e.samples, conflicts = s.conflicts + e.conflicts`+gained+
			`WHERE s.controller = e.controller AND s.epoch = e.epoch`)).Exec(func(done pgconn.CommandTag) error {
			if done.RowsAffected() != want {
				return penstock.Errorf(penstock.Unavailable, "of %d rows of the table settled %d are left: somebody deleted them", want, done.RowsAffected())
			}
			return nil
		})
	}
	if len(others.owners) > 0 {
		others.queue(b, w.sql(`INSERT INTO {s}.settled AS s (controller, epoch, numbers, filled, changes, newest, reports, duplicates, quarantined, samples, conflicts)
			SELECT controller, epoch, numbers::int8multirange, filled::int8multirange, 1, newest, reports, duplicates, quarantined, samples, conflicts`+gained+
			`ON CONFLICT (controller, epoch) DO UPDATE SET numbers = s.numbers + excluded.numbers, filled = s.filled + excluded.filled, changes = s.changes + 1,
			newest = greatest(s.newest, excluded.newest), reports = s.reports + excluded.reports,
			duplicates = s.duplicates + excluded.duplicates, quarantined = s.quarantined + excluded.quarantined,
			samples = s.samples + excluded.samples, conflicts = s.conflicts + excluded.conflicts`))
	}
}

// writeKeys keeps the new keys.
func (w *work) writeKeys(b *pgx.Batch) {
	var owners []int32
	var keys [][]byte
	var fingerprints []int64
	var newest []time.Time
	for _, k := range w.Keys {
		owners, keys = append(owners, k.Owner.ID), append(keys, []byte(k.Report.Identity.Key))
		fingerprints = append(fingerprints, int64(k.Report.Fingerprint))
		newest = append(newest, copyrow.Time(newestOf(k.Report)))
	}
	if len(owners) > 0 {
		b.Queue(w.sql(`INSERT INTO {s}.keys (controller, key, fingerprint, newest)
			SELECT * FROM unnest($1::int[], $2::bytea[], $3::bigint[], $4::timestamptz[])`), owners, keys, fingerprints, newest)
	}
}

// writeParked removes from quarantine what was decided about, and notes what was
// refused again.
func (w *work) writeParked(b *pgx.Batch) {
	var gone, again []int64
	var reasons []string
	for number, p := range w.Parked {
		switch {
		case p.Gone:
			gone = append(gone, number)
		case p.Again:
			again, reasons = append(again, number), append(reasons, text(p.Reason))
		}
	}
	if len(gone) > 0 {
		b.Queue(w.sql("DELETE FROM {s}.quarantine WHERE number = ANY($1)"), gone)
	}
	if len(again) > 0 {
		b.Queue(w.sql(`UPDATE {s}.quarantine q SET reason = n.reason, tries = tries + 1, last_failure = now()
			FROM unnest($1::bigint[], $2::text[]) AS n(number, reason) WHERE q.number = n.number`), again, reasons)
	}
}
