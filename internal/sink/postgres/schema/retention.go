package schema

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
)

// Upkeep says what is to be kept.
type Upkeep struct {
	Now       time.Time
	Ahead     int           // periods that get their partition before they begin
	Retention time.Duration // 0: everything is kept
}

// Dropped is what an upkeep removed.
type Dropped struct {
	Partitions []string
	Keys       int64
}

// keysAtOnce bounds how long an upkeep holds its locks.
const keysAtOnce = 10_000

// Keep makes the partitions of the near future and drops those of the past, with
// the keys of their time. It waits for a lock only shortly, because others then
// wait behind it; so it may fail, and is tried again later.
func (p *Partitions) Keep(ctx context.Context, tx pgx.Tx, u Upkeep) (d Dropped, err error) {
	if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '2s'"); err != nil {
		return d, err
	}
	if err := p.Load(ctx, tx); err != nil {
		return d, err
	}
	missing := Missing{}
	if !p.whole {
		for i := range int64(u.Ahead + 1) {
			if _, err := p.Has(u.Now.UnixMicro()+i*p.period, missing); err != nil {
				return d, err
			}
		}
	}
	if err := p.Make(ctx, tx, missing); err != nil {
		return d, err
	}
	if u.Retention == 0 {
		return d, nil
	}
	cutoff := u.Now.Add(-u.Retention)
	if d.Partitions, err = p.drop(ctx, tx, cutoff); err != nil {
		return d, err
	}
	tag, err := tx.Exec(ctx, p.schema.SQL(`DELETE FROM {s}.keys WHERE ctid IN (
		SELECT ctid FROM {s}.keys WHERE newest < $1 ORDER BY newest LIMIT $2 FOR UPDATE SKIP LOCKED)`), cutoff, keysAtOnce)
	d.Keys = tag.RowsAffected()
	return d, err
}

// drop removes the partitions whose times all lie before cutoff.
func (p *Partitions) drop(ctx context.Context, tx pgx.Tx, cutoff time.Time) ([]string, error) {
	if p.whole {
		_, err := tx.Exec(ctx, "SELECT count(drop_chunks($1::regclass, $2::timestamptz))", p.schema.SQL("{s}.samples"), cutoff)
		return nil, err
	}
	var dropped []string
	for _, s := range p.spans {
		unset := s.from == math.MinInt64 || s.until == math.MaxInt64 // of clocks that were never set
		if s.until > cutoff.UnixMicro() && !unset {
			continue
		}
		table := p.schema.SQL("{s}.") + pgx.Identifier{s.name}.Sanitize()
		var err error
		if unset { // what counts is when it came
			_, err = tx.Exec(ctx, "DELETE FROM "+table+" WHERE stored_time < $1", cutoff)
		} else {
			_, err = tx.Exec(ctx, "DROP TABLE "+table)
			dropped = append(dropped, s.name)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(dropped) > 0 {
		p.Forget()
	}
	return dropped, nil
}
