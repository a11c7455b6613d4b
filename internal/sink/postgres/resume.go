package postgres

import (
	"context"
	"encoding/hex"
	"io"

	"github.com/jackc/pgx/v5"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/postgres/multirange"
	"github.com/penstock/penstock/internal/sink/postgres/schema"
)

// Resume implements [penstock.Record]. It makes or migrates the tables first. It
// waits for a transaction of this node that is still under way, so that what it
// tells stays true.
func (r *Record) Resume(ctx context.Context) ([]penstock.Settled, error) {
	if err := r.take(ctx); err != nil {
		return nil, err
	}
	defer r.give()
	r.state = state{}
	r.up.Store(false)
	r.pool.Reset() // after an error there is little to say for the other connections
	next := state{node: r.env.Node(), partitions: schema.NewPartitions(r.schema, r.settings.period)}
	var holder [16]byte
	if _, err := io.ReadFull(r.env.Rand, holder[:]); err != nil {
		return nil, penstock.Errorf(penstock.Internal, "drawing a random number: %w", err)
	}
	next.holder = hex.EncodeToString(holder[:])
	err := r.within(ctx, func(tx pgx.Tx) error {
		r.warn(ctx, tx)
		if err := r.schema.Check(ctx, tx); err != nil {
			return err
		}
		return r.schema.Migrate(ctx, tx)
	})
	if err != nil {
		return nil, translate("making the tables", err)
	}
	var settled []penstock.Settled
	err = r.within(ctx, func(tx pgx.Tx) (err error) {
		settled, err = r.hold(ctx, tx, &next)
		return err
	})
	if err != nil {
		return nil, translate("finding what is settled", err)
	}
	next.ready = true
	r.up.Store(true)
	r.state = next
	return settled, nil
}

// warn says which settings of the server Penstock overrides.
func (r *Record) warn(ctx context.Context, tx pgx.Tx) {
	var set string
	err := tx.QueryRow(ctx, "SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'").Scan(&set)
	if err == nil && set == "off" {
		r.env.Log.Warn("synchronous_commit is off at the server; Penstock turns it on for its own transactions", "sink", r.env.Name)
	}
}

// hold makes this process the one that settles for the node, and reads how far it
// is settled.
func (r *Record) hold(ctx context.Context, tx pgx.Tx, next *state) ([]penstock.Settled, error) {
	id := next.node.ID
	if _, err := tx.Exec(ctx, r.schema.SQL("INSERT INTO {s}.nodes (id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING"), id, next.node.Name); err != nil {
		return nil, err
	}
	var life, ranges string
	var last int64
	err := tx.QueryRow(ctx, r.schema.SQL("SELECT life, last, settled::text, changes + 1 FROM {s}.nodes WHERE id = $1 FOR NO KEY UPDATE"), id).
		Scan(&life, &last, &ranges, &next.changes)
	if err != nil {
		return nil, err
	}
	if last > 0 && !next.node.Wrote(life, penstock.Position(last)) {
		return nil, penstock.Errorf(penstock.Conflict,
			"position %d of node %s was settled by another history of its spool: this one is an old copy of its disk, or has a twin", last, id)
	}
	if _, err := tx.Exec(ctx, r.schema.SQL("UPDATE {s}.nodes SET holder = $2, changes = $3, name = $4, seen = now() WHERE id = $1"),
		id, next.holder, next.changes, next.node.Name); err != nil {
		return nil, err
	}
	set, err := multirange.Parse(ranges)
	if err != nil {
		return nil, err
	}
	var settled []penstock.Settled
	for span := range set.All {
		settled = append(settled, penstock.Settled{
			First: penstock.Position(span.First), Last: penstock.Position(span.Last), Other: map[penstock.Position]penstock.Settlement{},
		})
	}
	rows, err := tx.Query(ctx, r.schema.SQL("SELECT position, settlement FROM {s}.outcomes WHERE node = $1 ORDER BY position"), id)
	if err != nil {
		return nil, err
	}
	var position int64
	var outcome int16
	run := 0
	_, err = pgx.ForEachRow(rows, []any{&position, &outcome}, func() error {
		for run < len(settled) && settled[run].Last < penstock.Position(position) {
			run++
		}
		if run < len(settled) {
			settled[run].Other[penstock.Position(position)] = penstock.Settlement(outcome)
		}
		return nil
	})
	return settled, err
}

// Forget implements [penstock.Record].
func (r *Record) Forget(ctx context.Context, through penstock.Position) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.give()
	if !r.state.ready {
		return nil // the next call forgets as much
	}
	err := r.within(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, r.schema.SQL("DELETE FROM {s}.outcomes WHERE node = $1 AND position <= $2"), r.state.node.ID, int64(through))
		return err
	})
	return translate("forgetting outcomes", err)
}
