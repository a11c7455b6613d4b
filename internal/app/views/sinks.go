package views

import (
	"context"
	"time"

	"github.com/penstock/penstock/internal/api"
	"github.com/penstock/penstock/internal/delivery"
	"github.com/penstock/penstock/internal/intake"
)

// Sinks are the sinks as the API shows them.
type Sinks struct {
	*delivery.Set
	Ledger *intake.Intake // has the books of the system of record
}

// Sinks implements api.Sinks.
func (s Sinks) Sinks() []api.SinkInfo {
	known := s.Set.Sinks()
	list := make([]api.SinkInfo, len(known))
	for i, k := range known {
		list[i] = api.SinkInfo{
			Name: k.Name, Main: k.Main, Record: k.Record, State: string(k.State), Since: instant(k.Since), Why: k.Why, Alarm: k.Alarm,
			Failures: k.Failures, Next: instant(k.Next), Through: uint64(k.Through), Gaps: k.Gaps,
			Backlog: api.SinkBacklog{Reports: k.Backlog.Reports, Bytes: k.Backlog.Bytes, Seconds: k.Backlog.Age.Seconds()},
			Books: api.SinkBooks{
				Delivered: k.Books.Delivered, Quarantined: k.Books.Quarantined, Discarded: k.Books.Discarded, Dropped: k.Books.Dropped, Refed: k.Books.Refed,
			},
		}
		if k.Main {
			named, _ := s.Ledger.Totals()
			list[i].Books.Quarantined, list[i].Books.Discarded = named.Quarantined, named.Discarded
		}
	}
	return list
}

// Replay implements api.Sinks.
func (s Sinks) Replay(name string, since time.Time) (uint64, error) {
	from, err := s.Set.Replay(name, since)
	return uint64(from), err
}

// instant returns a time for an answer, empty for none.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// Quarantine is that of the sinks as the API shows it.
type Quarantine struct{ *delivery.Set }

// Quarantined implements api.Quarantine.
func (q Quarantine) Quarantined(ctx context.Context, sink string, first uint64, limit int) ([]api.Held, error) {
	kept, err := q.Set.Quarantined(ctx, sink, first, limit)
	held := make([]api.Held, len(kept))
	for i, h := range kept {
		held[i] = api.Held(h)
	}
	return held, err
}
