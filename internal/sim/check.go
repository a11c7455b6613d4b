package sim

import (
	"context"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock"
)

// Stored is one sample as a store gives it back.
type Stored struct {
	Point  string
	Time   int64 // source time, nanoseconds since 1970 UTC
	Raw    []byte
	Status penstock.Status
	Unit   string
}

// A Store is read back sample by sample. It is safe for concurrent use.
type Store interface {
	// Controllers returns the names of all controllers that the store knows.
	Controllers(ctx context.Context) ([]string, error)
	// Samples calls yield with every sample of the controller whose source time
	// is not before from, each series in the order of its times. The sample's
	// value, in JSON, is valid during the call only. An error of yield ends the
	// reading and is returned.
	Samples(ctx context.Context, controller string, from int64, yield func(Stored) error) error
}

// Balance is what came out of holding a store against the senders' ledgers. All
// numbers but Samples count reports.
type Balance struct {
	Sent      int64 // handed to the network at least once
	Accepted  int64 // acknowledged to their sender
	Committed int64 // acknowledged, and in the store once, whole and unchanged
	Rejected  int64 // refused for good
	Unknown   int64 // sent, never answered, and not in the store
	Unheard   int64 // sent, never answered, and in the store: as good as committed
	Lost      int64 // acknowledged, but not in the store with all their samples
	Phantom   int64 // in the store, but never sent, or refused, or there twice
	Mutated   int64 // in the store with another value, status or unit, or without an answer in part
	Samples   int64 // read from the store

	Findings []string // the first of what is wrong, for people
}

// Clean tells whether nothing was lost, made up or changed.
func (b *Balance) Clean() bool { return b.Lost == 0 && b.Phantom == 0 && b.Mutated == 0 }

// maxFindings is how many findings a Balance spells out.
const maxFindings = 20

func (b *Balance) find(format string, args ...any) {
	if len(b.Findings) < maxFindings {
		b.Findings = append(b.Findings, fmt.Sprintf(format, args...))
	}
}

// add merges what another part of a check found.
func (b *Balance) add(o *Balance) {
	b.Sent += o.Sent
	b.Accepted += o.Accepted
	b.Committed += o.Committed
	b.Rejected += o.Rejected
	b.Unknown += o.Unknown
	b.Unheard += o.Unheard
	b.Lost += o.Lost
	b.Phantom += o.Phantom
	b.Mutated += o.Mutated
	b.Samples += o.Samples
	for _, f := range o.Findings {
		b.find("%s", f)
	}
}

// Check reads all that the store has of the fleet's time and holds it against
// the ledgers, report by report and bit by bit. When alone is true, the store is
// the fleet's own: whatever else is in it is a phantom. The fleet must not run
// meanwhile.
func Check(ctx context.Context, f *Fleet, store Store, alone bool) (*Balance, error) {
	from := f.Model().Start()
	if alone {
		from = 0
	}
	b, err := checkFleet(ctx, f, store, from)
	if err != nil || !alone {
		return b, err
	}
	known := make(map[string]bool, f.Model().Controllers())
	for i := range f.Model().Controllers() {
		known[f.Model().Name(i)] = true
	}
	names, err := store.Controllers(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the controllers back: %w", err)
	}
	for _, name := range names {
		if !known[name] {
			if err := b.addStranger(ctx, store, name); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// checkFleet audits the fleet's controllers, a few at a time.
func checkFleet(ctx context.Context, f *Fleet, store Store, from int64) (*Balance, error) {
	const readers = 4
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var parts [readers]Balance
	var all sync.WaitGroup
	for r := range parts {
		all.Go(func() {
			for i := int(next.Add(1) - 1); i < f.Model().Controllers() && ctx.Err() == nil; i = int(next.Add(1) - 1) {
				a := newAudit(&parts[r], f, i)
				if err := store.Samples(ctx, f.Model().Name(i), from, a.see); err != nil {
					cancel(fmt.Errorf("read %s back: %w", f.Model().Name(i), err))
					return
				}
				a.settle()
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	b := &Balance{}
	for i := range parts {
		b.add(&parts[i])
	}
	return b, nil
}

// addStranger counts what the store has of a controller that is not the fleet's.
func (b *Balance) addStranger(ctx context.Context, store Store, name string) error {
	times := map[int64]bool{}
	err := store.Samples(ctx, name, 0, func(s Stored) error {
		times[s.Time] = true
		return nil
	})
	if err != nil {
		return fmt.Errorf("read %s back: %w", name, err)
	}
	b.Phantom += int64(len(times))
	if len(times) > 0 {
		b.find("%s never sent a report, and the store has samples of it at %d times", name, len(times))
	}
	return nil
}

// An audit goes through the samples of one controller.
type audit struct {
	*Balance
	model   *Model
	ledger  *Ledger
	number  int
	points  map[string]int
	reports []seen         // by seq, less one
	strange map[int64]bool // times at which no report was sent
}

// seen is what the store showed of one report.
type seen struct {
	points  uint64 // a bit a point
	doubled bool
	changed bool
}

func newAudit(b *Balance, f *Fleet, controller int) *audit {
	a := &audit{
		Balance: b, model: f.Model(), ledger: f.Ledger(controller), number: controller,
		points: map[string]int{}, strange: map[int64]bool{},
	}
	for p := range a.model.Points(controller) {
		a.points[a.model.PointName(controller, p)] = p
	}
	a.reports = make([]seen, a.ledger.Highest())
	return a
}

// see judges one stored sample.
func (a *audit) see(s Stored) error {
	a.Samples++
	name := a.model.Name(a.number)
	seq, ok := a.model.SeqAt(a.number, s.Time)
	point, has := a.points[s.Point]
	if !ok || !has || a.ledger.Of(seq)&Sent == 0 {
		if !a.strange[s.Time] {
			a.strange[s.Time] = true
			a.Phantom++
			a.find("%s never sent %s at %d", name, s.Point, s.Time)
		}
		return nil
	}
	r := &a.reports[seq-1]
	bit := uint64(1) << point
	if r.points&bit != 0 {
		r.doubled = true
		a.find("%s report %d: %s is stored twice", name, seq, s.Point)
	}
	r.points |= bit
	want := a.model.Sample(a.number, seq, point)
	if !Holds(s.Raw, want.Value) || s.Status != want.Status || s.Unit != want.Unit {
		r.changed = true
		a.find("%s report %d: %s was %s %s %q and is %s %s %q", name, seq, s.Point,
			AppendValue(nil, want.Value), want.Status, want.Unit, s.Raw, s.Status, s.Unit)
	}
	return nil
}

// settle adds the controller's reports to the balance.
func (a *audit) settle() {
	name := a.model.Name(a.number)
	all := uint64(1)<<a.model.Points(a.number) - 1
	committed := a.ledger.Committed()
	if highest := uint64(len(a.reports)); committed > highest {
		a.Lost += int64(committed - highest)
		a.find("%s was told that report %d is committed, and sent none above %d", name, committed, highest)
	}
	for i, r := range a.reports {
		seq := uint64(i) + 1
		mark := a.ledger.Of(seq)
		if mark == 0 && seq > committed {
			continue
		}
		whole := r.points == all
		a.count(mark, r, whole)
		switch {
		case mark&Acknowledged != 0 || seq <= committed && mark&Refused == 0:
			if !whole {
				a.Lost++
				a.find("%s report %d was acknowledged, and %d of its %d samples are not in the store",
					name, seq, a.model.Points(a.number)-bits.OnesCount64(r.points), a.model.Points(a.number))
			}
		case mark&Refused != 0:
			if r.points != 0 {
				a.Phantom++
				a.find("%s report %d was rejected, and is in the store", name, seq)
			}
		case r.points != 0 && !whole:
			a.Mutated++
			a.find("%s report %d got no answer, and is in the store in part", name, seq)
		}
	}
}

// count adds what does not depend on whether the store is right.
func (a *audit) count(mark Mark, r seen, whole bool) {
	if mark&Sent != 0 {
		a.Sent++
	}
	switch {
	case mark&Acknowledged != 0:
		a.Accepted++
		if whole && !r.doubled && !r.changed {
			a.Committed++
		}
	case mark&Refused != 0:
		a.Rejected++
	case whole:
		a.Unheard++
	case mark&Sent != 0:
		a.Unknown++
	}
	if r.doubled {
		a.Phantom++
	}
	if r.changed {
		a.Mutated++
	}
}
