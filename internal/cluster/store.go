package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sim"
)

// Store reads the database of a cluster back, past the gateways.
type Store struct{ pool *pgxpool.Pool }

var _ sim.Store = (*Store)(nil)

// NewStore returns a reader, which ends with the test.
func (c *Cluster) NewStore(t testing.TB) *Store {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), c.Database.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &Store{pool}
}

// Controllers implements [sim.Store]: all but the devices that are polled.
func (s *Store) Controllers(ctx context.Context) ([]string, error) {
	rows, err := s.pool.Query(ctx, "SELECT name FROM penstock.controllers WHERE name NOT LIKE 'slave-%'")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Samples implements [sim.Store].
func (s *Store) Samples(ctx context.Context, controller string, from int64, yield func(sim.Stored) error) error {
	rows, err := s.pool.Query(ctx, `SELECT p.name, p.unit, (extract(epoch FROM s.source_time) * 1000000)::bigint * 1000 + s.source_nanos AS at,
			s.kind, s.float_value, s.int_value, s.text_value, s.status
		FROM penstock.samples s JOIN penstock.points p ON p.id = s.point JOIN penstock.controllers c ON c.id = p.controller
		WHERE c.name = $1 ORDER BY p.name, at`, controller)
	if err != nil {
		return err
	}
	var one sim.Stored
	var kind, status int32
	var float *float64
	var integer *int64
	var text *string
	_, err = pgx.ForEachRow(rows, []any{&one.Point, &one.Unit, &one.Time, &kind, &float, &integer, &text, &status}, func() error {
		if one.Time < from {
			return nil
		}
		one.Status = penstock.Status(uint32(status))
		one.Raw = sim.AppendValue(one.Raw[:0], valueOf(penstock.Kind(kind), float, integer, text))
		return yield(one)
	})
	return err
}

// valueOf returns the value of a row.
func valueOf(kind penstock.Kind, float *float64, integer *int64, text *string) penstock.Value {
	switch {
	case kind == penstock.Float64 && float != nil:
		return penstock.FloatValue(*float)
	case kind == penstock.Int64 && integer != nil:
		return penstock.IntValue(*integer)
	case kind == penstock.Uint64 && integer != nil:
		return penstock.UintValue(uint64(*integer))
	case kind == penstock.Bool && integer != nil:
		return penstock.BoolValue(*integer != 0)
	case kind == penstock.Text && text != nil:
		return penstock.TextValue(strings.Clone(*text))
	}
	return penstock.Value{}
}

// Doubles returns how often something is in the store more than once: a point of a
// sequenced report, or a point at a time of one without.
func (s *Store) Doubles(ctx context.Context) (n int64, err error) {
	err = s.pool.QueryRow(ctx, `SELECT count(*) FROM (
		SELECT 1 FROM penstock.samples WHERE seq IS NOT NULL GROUP BY point, source_time, source_nanos, epoch, seq HAVING count(*) > 1
		UNION ALL SELECT 1 FROM penstock.samples WHERE seq IS NULL GROUP BY point, source_time, source_nanos HAVING count(*) > 1) d`).Scan(&n)
	return n, err
}

// Polled is what the store has of the devices that are polled.
type Polled struct {
	Slots     int64 // readings with a value: one for each slot that was polled
	Conflicts int64 // readings of a slot that another gateway had read with another value: they are not stored
	Missing   int64 // slots without a reading, between the first and the last of a device
	Turns     int64 // how often leases changed hands
	Held      int64 // leases that somebody has now
}

// Polled counts the readings of the devices whose names begin so, with slots each every
// nanoseconds.
func (s *Store) Polled(ctx context.Context, names string, every int64) (p Polled, err error) {
	err = s.pool.QueryRow(ctx, `WITH slots AS (
			SELECT point, source_time FROM penstock.samples s JOIN penstock.points p ON p.id = s.point JOIN penstock.controllers c ON c.id = p.controller
			WHERE c.name LIKE $2 || '%' AND s.int_value IS NOT NULL),
		each AS (SELECT count(*) AS got, round(extract(epoch FROM max(source_time) - min(source_time)) * 1000000000 / $1) + 1 AS want FROM slots GROUP BY point)
		SELECT (SELECT count(*) FROM slots), (SELECT coalesce(sum(conflicts), 0) FROM penstock.settled s JOIN penstock.controllers c ON c.id = s.controller WHERE c.name LIKE $2 || '%'),
			(SELECT coalesce(sum(want - got), 0)::bigint FROM each), (SELECT coalesce(sum(token), 0)::bigint FROM penstock.leases),
			(SELECT count(*) FROM penstock.leases WHERE until > clock_timestamp())`, every, names).
		Scan(&p.Slots, &p.Conflicts, &p.Missing, &p.Turns, &p.Held)
	return p, err
}

// Taken tells whether every lease was taken or held on to after a moment of the
// store's clock, so that no process that had ended by then has one.
func (s *Store) Taken(ctx context.Context, after time.Time) (all bool, err error) {
	err = s.pool.QueryRow(ctx, "SELECT coalesce(bool_and(until > $1), false) FROM penstock.leases", after.Add(leaseFor)).Scan(&all)
	return all, err
}

// leaseFor is how long a gateway takes a lease for.
const leaseFor = 10 * time.Second

// Now reads the store's clock.
func (s *Store) Now(ctx context.Context) (now time.Time, err error) {
	err = s.pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now)
	return now, err
}

// Watermarks are up to where the store has each epoch of each controller without a gap.
type Watermarks map[string]int64

// Watermarks reads them.
func (s *Store) Watermarks(ctx context.Context) (Watermarks, error) {
	rows, err := s.pool.Query(ctx, `SELECT c.name || '/' || s.epoch, coalesce((SELECT upper(r) FROM unnest(s.numbers) r WHERE lower(r) = 1), 1) - 1
		FROM penstock.settled s JOIN penstock.controllers c ON c.id = s.controller WHERE s.epoch > 0`)
	if err != nil {
		return nil, err
	}
	marks := Watermarks{}
	var name string
	var mark int64
	_, err = pgx.ForEachRow(rows, []any{&name, &mark}, func() error {
		marks[name] = mark
		return nil
	})
	return marks, err
}

// Behind says where the marks are behind those before; empty when they are nowhere.
func (m Watermarks) Behind(before Watermarks) string {
	for name, mark := range before {
		if m[name] < mark {
			return fmt.Sprintf("%s was at %d and is at %d", name, mark, m[name])
		}
	}
	return ""
}

// raise takes over marks that are higher.
func (m Watermarks) raise(now Watermarks) {
	for name, mark := range now {
		m[name] = max(m[name], mark)
	}
}
