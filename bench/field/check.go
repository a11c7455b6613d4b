package field

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sim"
)

// A Balance is what came out of holding a gateway against the fleet's own books.
type Balance struct {
	Reports   int64 // acknowledged to the fleet
	Samples   int64 // of them
	Stored    int64 // samples found in the record, exactly as sent
	Wrong     int64 // found, and of no report that was acknowledged, twice, or with another value
	Missing   int64 // not found
	Received  int64 // reports, by the gateway's ledger
	Accepted  int64
	Duplicate int64
	Rejected  int64
	Committed int64
	Unsettled int64  // in the spool, quarantined, filtered, discarded or damaged
	First     string // the first thing that is wrong
}

// Exact tells whether every sample is there once and unchanged, and both books say
// the same.
func (b *Balance) Exact() bool {
	return b.Wrong == 0 && b.Missing == 0 && b.Accepted == b.Reports && b.Received == b.Accepted+b.Duplicate+b.Rejected &&
		b.Rejected == 0 && b.Unsettled == 0 && b.Committed == b.Accepted
}

// Check reads back all that the record has of the fleet, and the ledger. The fleet
// must have finished.
func (f *Fleet) Check(ctx context.Context, r *sim.Reader) (*Balance, error) {
	var books struct {
		Total struct {
			Received    int64            `json:"received"`
			Accepted    int64            `json:"accepted"`
			Duplicate   int64            `json:"duplicate"`
			Rejected    map[string]int64 `json:"rejected"`
			Committed   int64            `json:"committed"`
			AtRecord    int64            `json:"duplicate_at_record"`
			InSpool     int64            `json:"in_spool"`
			Quarantined int64            `json:"quarantined"`
			Filtered    int64            `json:"filtered"`
			Discarded   int64            `json:"discarded"`
			Damaged     int64            `json:"damaged"`
		} `json:"total"`
	}
	if err := r.Get(ctx, "/v1/ledger", &books); err != nil {
		return nil, err
	}
	t := &books.Total
	b := &Balance{
		Received: t.Received, Accepted: t.Accepted, Duplicate: t.Duplicate, Committed: t.Committed + t.AtRecord,
		Unsettled: t.InSpool + t.Quarantined + t.Filtered + t.Discarded + t.Damaged,
	}
	for _, n := range t.Rejected {
		b.Rejected += n
	}
	for i := range f.members {
		m := &f.members[i]
		b.Reports += int64(m.acked.Load())
		b.Samples += m.samples(m.acked.Load())
	}
	err := f.readBack(ctx, r, b)
	b.Missing = b.Samples - b.Stored
	return b, err
}

// readBack holds every stored sample against the plan, a few controllers at a time.
func (f *Fleet) readBack(ctx context.Context, r *sim.Reader, b *Balance) error {
	const readers = 4
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var mu sync.Mutex // guards b
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(f.members) && ctx.Err() == nil; i = next.Add(1) - 1 {
				a := newAudit(&f.members[i])
				if err := r.Samples(ctx, a.name, 0, a.see); err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				b.Stored += a.right
				b.Wrong += a.wrong
				if b.First == "" {
					b.First = a.first
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// An audit goes through the samples of one controller.
type audit struct {
	*member
	numbers      map[string]int // of the points
	seen         []bool         // by point and seq
	right, wrong int64
	first        string
}

func newAudit(m *member) *audit {
	a := &audit{member: m, numbers: map[string]int{}, seen: make([]bool, m.points*int(m.acked.Load()))}
	for point := range m.points {
		a.numbers[pointName(point)] = point
	}
	return a
}

func (a *audit) see(s sim.Stored) error {
	if at, ok := a.place(&s); ok && !a.seen[at] {
		a.seen[at] = true
		a.right++
		return nil
	}
	a.wrong++
	if a.first == "" {
		a.first = fmt.Sprintf("%s %s has %s at %s", a.name, s.Point, s.Raw, time.Unix(0, s.Time).UTC().Format(time.RFC3339Nano))
	}
	return nil
}

// place returns where a sample stands in seen, and whether it is one that was
// acknowledged, with its value.
func (a *audit) place(s *sim.Stored) (int, bool) {
	point, known := a.numbers[s.Point]
	seq, due := a.seqAt(time.Unix(0, s.Time).Sub(a.fleet.start))
	acked := a.acked.Load()
	if !known || !due || seq > acked || !a.has(point, seq) || s.Status != penstock.Good || s.Unit != "" || !sim.Holds(s.Raw, a.value(point, seq)) {
		return 0, false
	}
	return point*int(acked) + int(seq) - 1, true
}
