package postgres

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/postgres/judge"
	"github.com/penstock/penstock/internal/sink/postgres/multirange"
	"github.com/penstock/penstock/link"
)

// text makes a sentence one that PostgreSQL can keep.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "�"), "\x00", "�")
}

// Known returns what the record holds of each epoch of a controller, through
// whichever node it came.
func (r *Record) Known(ctx context.Context, controller string) (known []penstock.Known, err error) {
	err = r.within(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, r.schema.SQL(`SELECT s.epoch, s.numbers::text, s.filled::text FROM {s}.settled s JOIN {s}.controllers c ON c.id = s.controller
			WHERE c.name = $1 AND s.epoch > 0 ORDER BY s.epoch`), controller)
		if err != nil {
			return err
		}
		var epoch int64
		var numbers, filled string
		_, err = pgx.ForEachRow(rows, []any{&epoch, &numbers, &filled}, func() error {
			set, err := multirange.Parse(numbers)
			refused, wrong := multirange.Parse(filled)
			known = append(known, penstock.Known{Controller: controller, Epoch: uint64(epoch), Settled: ranges(&set), Filled: ranges(&refused)})
			return errors.Join(err, wrong)
		})
		return err
	})
	return known, translate("reading what is settled", err)
}

// Quarantined implements [sink.Quarantine].
func (r *Record) Quarantined(ctx context.Context, first uint64, limit int) (list []sink.Held, err error) {
	err = r.within(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, r.schema.SQL(`SELECT q.number, q.reason, q.cause, q.tries, q.first_failure, q.last_failure,
				c.name, q.report, q.fingerprint, q.source, q.received, q.accepted
			FROM {s}.quarantine q JOIN {s}.controllers c ON c.id = q.controller
			WHERE q.node = $1 AND q.number >= $2 ORDER BY q.number LIMIT $3`), r.env.Node().ID, int64(first), limit)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, r.scanHeld)
		return err
	})
	return list, translate("reading the quarantine", err)
}

func (r *Record) scanHeld(row pgx.CollectableRow) (h sink.Held, err error) {
	var number int64
	var controller, cause string
	var first, last time.Time
	var e encoded
	if err = row.Scan(&number, &h.Reason, &cause, &h.Tries, &first, &last,
		&controller, &e.report, &e.fingerprint, &e.source, &e.received, &e.accepted); err != nil {
		return h, err
	}
	h.Number, h.First, h.Last = uint64(number), first.UnixNano(), last.UnixNano()
	if h.By = cause; cause == judge.ByRecord {
		h.By = r.env.Name
	}
	if h.Report = e.decode(); h.Report == nil {
		h.Report = &penstock.Report{Controller: controller}
	}
	return h, nil
}

// encoded is a report as it stands in quarantine.
type encoded struct {
	report, source                  []byte
	fingerprint, received, accepted int64
}

// decode returns the report, or nil when it cannot be decoded.
func (e *encoded) decode() *penstock.Report {
	report := &penstock.Report{}
	if _, err := new(link.Decoder).Decode(e.report, report); err != nil {
		return nil
	}
	report.Fingerprint, report.Source = penstock.Fingerprint(e.fingerprint), string(e.source)
	report.ReceivedTime, report.AcceptedTime = e.received, e.accepted
	return report
}
