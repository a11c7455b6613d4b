package pipeline

import (
	"context"
	"sync"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/fleet"
)

// signals collects what the reports of an envelope tell of their controllers'
// links, as their decoder found it or by the points that are declared to do so,
// once it is certain which of them go to the intake. Envelopes in which nothing is
// new and nothing tells of a link cost it nothing.
type signals struct{ fleet *fleet.Fleet }

// reading is a value that tells of a link, on its way to the controller's page.
type reading struct {
	envelope, report int // where it came: indices
	quantity         evidence.Quantity
	value            float64
}

func (s signals) atEnd(_ context.Context, w *passage) {
	if w.refused != nil {
		return
	}
	for _, r := range w.batch.readings {
		if w.items[r.report].Reason == "" {
			w.readings = append(w.readings, r)
		}
	}
	if !w.signals && !w.fresh {
		return
	}
	for i := range w.items {
		if item := &w.items[i]; !item.Decided() {
			for q, v := range s.fleet.Signals(item.Report) {
				w.readings = append(w.readings, reading{report: i, quantity: q, value: v})
			}
		}
	}
}

// readings returns those of all envelopes on the desk.
func (d *desk) readings() (all []reading) {
	for i := range d.judged {
		for _, r := range d.passages[i].readings {
			r.envelope = i
			all = append(all, r)
		}
	}
	return all
}

// noting is a ticket that puts readings on the controllers' pages when the reports
// that they came with are accepted, and durable.
type noting struct {
	penstock.Ticket
	book     *evidence.Book
	readings []reading
	once     sync.Once
}

// Wait implements [penstock.Ticket].
func (t *noting) Wait(ctx context.Context) ([]penstock.Outcome, error) {
	outcomes, err := t.Ticket.Wait(ctx)
	if err == nil {
		t.once.Do(func() { t.note(outcomes) })
	}
	return outcomes, err
}

func (t *noting) note(outcomes []penstock.Outcome) {
	for _, r := range t.readings {
		o := &outcomes[r.envelope]
		if o.Err != nil {
			continue
		}
		if v := &o.Verdicts[r.report]; v.Result == penstock.Accepted {
			t.book.Controller(v.Controller).Signal(r.quantity, r.value)
		}
	}
}
