package drain

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/penstock/penstock/internal/sim"
)

// Books are what the gateway, the database and the fleets have of the same reports. All
// but Rows and Samples count reports.
type Books struct {
	Acknowledged int64 // to the fleets
	Received     int64 // by the gateway's ledger
	Accepted     int64
	Committed    int64
	Unsettled    int64 // in the spool, quarantined, filtered, discarded or damaged
	Resent       int64 // duplicates at the gateway
	Samples      int64 // of the reports that were acknowledged
	Rows         int64 // in the table of samples
	Whole        int64 // in the database: each of its samples there once
	Wrong        int64 // in the database: in part, doubled, or of nobody who was acknowledged
	Missing      int64 // acknowledged, and not in the database
	Changed      int64 // of the live fleet, with another value, status or unit
}

// Exact tells whether every report that was acknowledged is in the database once and
// whole, and nothing beside them, and the ledger says the same.
func (b *Books) Exact() bool {
	return b.Wrong == 0 && b.Missing == 0 && b.Changed == 0 && b.Rows == b.Samples && b.Whole == b.Acknowledged &&
		b.Accepted == b.Acknowledged && b.Received == b.Accepted+b.Resent && b.Committed == b.Accepted && b.Unsettled == 0
}

// audit holds the ledger and the database against the fleets. Nothing runs any more.
func (m *outage) audit(ctx context.Context) error {
	if err := m.gateway.Rest(ctx); err != nil {
		return err
	}
	if err := m.ledger(ctx); err != nil {
		return err
	}
	if err := m.rows(ctx); err != nil {
		return err
	}
	b := &m.Books
	// The reports of the past are older than the live fleet: they are not read here.
	balance, err := sim.Check(ctx, m.live.Fleet, m.reader, false)
	if err != nil {
		return err
	}
	b.Changed = balance.Mutated
	if !b.Exact() || !balance.Clean() {
		return fmt.Errorf("the books do not agree: %+v; of the live fleet: %v", *b, balance.Findings)
	}
	return errors.Join(m.live.Err(), m.past.Err())
}

// ledger reads the gateway's books.
func (m *outage) ledger(ctx context.Context) error {
	var books struct {
		Total struct {
			Received    int64 `json:"received"`
			Accepted    int64 `json:"accepted"`
			Duplicate   int64 `json:"duplicate"`
			Committed   int64 `json:"committed"`
			InSpool     int64 `json:"in_spool"`
			Quarantined int64 `json:"quarantined"`
			Filtered    int64 `json:"filtered"`
			Discarded   int64 `json:"discarded"`
			Damaged     int64 `json:"damaged"`
		} `json:"total"`
	}
	if err := m.reader.Get(ctx, "/v1/ledger", &books); err != nil {
		return err
	}
	t, b := &books.Total, &m.Books
	b.Received, b.Accepted, b.Committed, b.Resent = t.Received, t.Accepted, t.Committed, t.Duplicate
	b.Unsettled = t.InSpool + t.Quarantined + t.Filtered + t.Discarded + t.Damaged
	return nil
}

// rows reads from the database which reports it has, with how many samples and points.
func (m *outage) rows(ctx context.Context) error {
	numbers := map[string]int{}
	b := &m.Books
	for i := range m.Controllers {
		numbers[m.live.Model().Name(i)] = i
		for _, f := range [...]*fleet{m.past, m.live} {
			for seq := range f.Ledger(i).Highest() {
				if f.Ledger(i).Of(seq+1)&sim.Acknowledged != 0 {
					b.Acknowledged++
				}
			}
		}
	}
	b.Samples = m.live.samples(b.Acknowledged)
	conn, err := pgx.Connect(ctx, m.database.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	found, err := conn.Query(ctx, `SELECT c.name, s.epoch, s.seq, count(*), count(DISTINCT s.point)
		FROM penstock.samples s JOIN penstock.points p ON p.id = s.point JOIN penstock.controllers c ON c.id = p.controller GROUP BY 1, 2, 3`)
	if err != nil {
		return err
	}
	var name string
	var epoch, seq uint64
	var rows, points int64
	_, err = pgx.ForEachRow(found, []any{&name, &epoch, &seq, &rows, &points}, func() error {
		b.Rows += rows
		number, known := numbers[name]
		f := m.live
		if epoch == pastEpoch {
			f = m.past
		}
		if known && (epoch == pastEpoch || epoch == liveEpoch) && f.Ledger(number).Of(seq)&sim.Acknowledged != 0 && rows == points && rows == m.live.samples(1) {
			b.Whole++
		} else {
			b.Wrong++
		}
		return nil
	})
	b.Missing = b.Acknowledged - b.Whole
	return err
}
