package postgres

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/postgres/judge"
	"github.com/penstock/penstock/internal/sink/postgres/multirange"
)

// wanted is what must be known of the tables to judge a batch.
type wanted struct {
	owners        map[string]string // by each name in the batch, the one it is kept under
	names         []string          // of all controllers, sorted
	epochNames    []string
	epochs        []int64
	naturals      []string // controllers with natural reports
	keyNames      []string
	keys          [][]byte
	parkedNumbers []int64
}

// want lists what must be known to judge the batch.
func want(b penstock.Batch) wanted {
	type pair struct {
		name  string
		epoch uint64
	}
	ds := b.Deliveries
	out := wanted{owners: map[string]string{}}
	seen, naturals := map[pair]bool{}, map[string]bool{}
	epoch := func(p pair) {
		if !seen[p] {
			seen[p] = true
			out.epochNames, out.epochs = append(out.epochNames, p.name), append(out.epochs, int64(p.epoch))
		}
	}
	for i := range ds {
		d := &ds[i]
		name, known := out.owners[judge.NameOf(d)]
		if !known {
			name = judge.Name(judge.NameOf(d))
			out.owners[judge.NameOf(d)] = name
		}
		switch {
		case d.Decision != nil:
			out.parkedNumbers = append(out.parkedNumbers, int64(d.Decision.Number))
			naturals[name] = true // it may be one
		case d.Report == nil:
		case d.Report.Identity.Form == penstock.Sequence:
			if d.Report.Identity.Check() == nil {
				epoch(pair{name, d.Report.Identity.Epoch})
			}
		case d.Report.Identity.Form == penstock.Keyed:
			out.keyNames, out.keys = append(out.keyNames, name), append(out.keys, []byte(d.Report.Identity.Key))
		default:
			naturals[name] = true
		}
	}
	for i := range b.Filled {
		if f := &b.Filled[i]; f.Check() == nil {
			out.owners[f.Controller] = f.Controller
			epoch(pair{f.Controller, f.Epoch})
		}
	}
	out.names = slices.Compact(slices.Sorted(maps.Values(out.owners)))
	out.naturals = slices.Sorted(maps.Keys(naturals))
	return out
}

// read sends one bundle of statements: it makes sure that this process is still
// the one that settles, locks the controllers, and reads what the batch is to
// be judged by. Each statement sees what was committed before it began, and those
// behind the locks therefore all that counts.
func (w *work) read(ctx context.Context) error {
	want := &w.wanted
	node := w.state.node.ID
	var b pgx.Batch
	b.Queue(w.sql(`SELECT holder, changes, settled::text, (extract(epoch FROM now()) * 1000000)::bigint
		FROM {s}.nodes WHERE id = $1 FOR NO KEY UPDATE`), node).QueryRow(w.fence)
	queue(&b, w.sql("SELECT position, settlement FROM {s}.outcomes WHERE node = $1 AND position BETWEEN $2 AND $3"),
		w.noteOutcome, node, int64(w.Batch.First), int64(w.Batch.Last))
	queue(&b, w.sql("SELECT id, name FROM {s}.controllers WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE"), w.hold, w.ids(want.names))
	if len(want.epochs) > 0 {
		queue(&b, w.sql(`SELECT s.controller, s.epoch, s.numbers::text, s.filled::text, s.changes
			FROM unnest($1::int[], $2::bigint[]) AS e(controller, epoch) JOIN {s}.settled s USING (controller, epoch)`),
			w.noteEpoch, w.ids(want.epochNames), want.epochs)
	}
	if len(want.naturals) > 0 {
		queue(&b, w.sql(`SELECT c.name, coalesce(max(s.newest), $2) FROM {s}.controllers c LEFT JOIN {s}.settled s ON s.controller = c.id
			WHERE c.name = ANY($1) GROUP BY c.name`), w.noteNewest, want.naturals, int64(math.MinInt64))
	}
	w.wantKeys(&b, want.keyNames, want.keys)
	if len(want.parkedNumbers) > 0 {
		queue(&b, w.sql(`SELECT number, fingerprint, source, received, accepted, report
			FROM {s}.quarantine WHERE number = ANY($1) AND node = $2 FOR UPDATE`), w.noteParked, want.parkedNumbers, node)
	}
	if err := w.tx.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	if len(w.Held) != len(want.names) {
		return penstock.Errorf(penstock.Unavailable, "%d controllers of the batch have no row of their name and number any more: somebody deleted it", len(want.names)-len(w.Held))
	}
	for name, owner := range want.owners {
		w.Owners[name] = w.Held[owner]
	}
	for i, name := range want.epochNames {
		w.Held[name].Epoch(penstock.SequenceIdentity(uint64(want.epochs[i]), 1)).Read = true
	}
	return nil
}

// ids returns the numbers of controllers, which register has learnt.
func (w *work) ids(names []string) []int32 {
	ids := make([]int32, 0, len(names))
	for _, name := range names {
		if c := w.state.catalogue.controllers[name]; c != nil {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// readKeys reads the keys of reports in quarantine that somebody decided about.
func (w *work) readKeys(ctx context.Context) error {
	var names []string
	var keys [][]byte
	for _, p := range w.Parked {
		if p.Report != nil && p.Report.Identity.Form == penstock.Keyed {
			names, keys = append(names, judge.Name(p.Report.Controller)), append(keys, []byte(p.Report.Identity.Key))
		}
	}
	var b pgx.Batch
	w.wantKeys(&b, names, keys)
	if b.Len() == 0 {
		return nil
	}
	return w.tx.SendBatch(ctx, &b).Close()
}

func (w *work) wantKeys(b *pgx.Batch, names []string, keys [][]byte) {
	if len(keys) > 0 {
		queue(b, w.sql(`SELECT w.name, k.key, k.fingerprint FROM unnest($1::text[], $2::bytea[]) AS w(name, key)
			JOIN {s}.controllers c ON c.name = w.name JOIN {s}.keys k ON k.controller = c.id AND k.key = w.key`), w.noteKey, names, keys)
	}
}

// queue adds a query whose rows go to note.
func queue(b *pgx.Batch, statement string, note func(pgx.CollectableRow) error, args ...any) {
	b.Queue(statement, args...).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := note(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// fence makes sure that nobody else settles for this node, and that the store has
// what it had.
func (w *work) fence(row pgx.Row) error {
	var holder, settled string
	var changes int64
	if err := row.Scan(&holder, &changes, &settled, &w.stored); err != nil {
		return err
	}
	if holder != w.state.holder || changes != w.state.changes {
		return penstock.Errorf(penstock.Unavailable,
			"another process settles for node %s, or the database lost what it had committed", w.state.node.ID)
	}
	var err error
	w.Settled, err = multirange.Parse(settled)
	return err
}

func (w *work) noteOutcome(row pgx.CollectableRow) error {
	var position int64
	var settlement int16
	err := row.Scan(&position, &settlement)
	w.Outcomes[penstock.Position(position)] = penstock.Settlement(settlement)
	return err
}

// hold notes that the transaction has locked the row of a controller.
func (w *work) hold(row pgx.CollectableRow) error {
	var id int32
	var name string
	if err := row.Scan(&id, &name); err != nil {
		return err
	}
	if c := w.state.catalogue.controllers[name]; c != nil && c.ID == id {
		h := judge.NewHeld(c.Controller)
		w.Held[name], w.byID[id] = h, h
	}
	return nil
}

func (w *work) noteEpoch(row pgx.CollectableRow) error {
	var controller int32
	var numbers, filled string
	var number, changes int64
	if err := row.Scan(&controller, &number, &numbers, &filled, &changes); err != nil {
		return err
	}
	set, err := multirange.Parse(numbers)
	refused, wrong := multirange.Parse(filled)
	if err := errors.Join(err, wrong); err != nil {
		return err
	}
	h := w.byID[controller]
	if h == nil {
		return nil // the count of the rows that were locked tells
	}
	e := h.Epoch(penstock.SequenceIdentity(uint64(number), 1))
	e.Numbers, e.Filled, e.Changes, e.Exists = set, refused, changes, true
	return nil
}

func (w *work) noteNewest(row pgx.CollectableRow) error {
	var name string
	var newest int64
	if err := row.Scan(&name, &newest); err != nil {
		return err
	}
	if h := w.Held[name]; h != nil {
		h.Natural, h.Newest = true, newest
	}
	return nil
}

func (w *work) noteKey(row pgx.CollectableRow) error {
	var name string
	var key []byte
	var fingerprint int64
	if err := row.Scan(&name, &key, &fingerprint); err != nil {
		return err
	}
	if h := w.Held[name]; h != nil {
		h.Keep(string(key), penstock.Fingerprint(fingerprint))
	}
	return nil
}

func (w *work) noteParked(row pgx.CollectableRow) error {
	var number int64
	var e encoded
	if err := row.Scan(&number, &e.fingerprint, &e.source, &e.received, &e.accepted, &e.report); err != nil {
		return err
	}
	w.Parked[number] = &judge.Parked{Report: e.decode()}
	return nil
}
