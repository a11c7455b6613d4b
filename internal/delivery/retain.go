package delivery

import (
	"context"
	"math"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/delivery/reading"
	"github.com/penstock/penstock/internal/shelf"
	"github.com/penstock/penstock/internal/sink"
)

// Floor returns through where no sink needs the spool any more, and makes durable how
// far those are that keep their place themselves: before one of them can be asked again
// after a restart, the spool must keep what it may lack.
func (s *Set) Floor() (penstock.Position, error) {
	floor := penstock.Position(math.MaxUint64)
	for _, l := range s.lanes() {
		if err := l.save(); err != nil {
			return 0, err
		}
		floor = min(floor, l.behind()-1)
	}
	return floor, nil
}

// save makes the place of a record durable. That of a plain sink is.
func (l *lane) save() error {
	if l.spec.NewRecord == nil {
		return nil
	}
	l.mu.Lock()
	done, delivered := l.done.Clone(), l.status.unsaved
	l.mu.Unlock()
	if place := l.shelf.Place(); delivered == 0 && place.Settled.Equal(&done) {
		return nil
	}
	err := l.shelf.Save(shelf.Change{Edit: func(p *shelf.Place) {
		p.Settled = done
		p.Books.Delivered += delivered
	}})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.unsaved -= delivered
	return nil
}

// Forget has the records told that nobody will ask for settlements up to a position:
// the system of record up to there, and another as far as it is. It does not wait.
func (s *Set) Forget(through penstock.Position) {
	for _, l := range s.lanes() {
		if l.spec.NewRecord == nil {
			continue
		}
		to := through
		if !l.main {
			to = l.behind() - 1
		}
		l.mu.Lock()
		l.forget = max(l.forget, to)
		l.poke()
		l.mu.Unlock()
	}
}

// runForget tells the record what nobody will ask for.
func (d *drive) runForget(ctx context.Context) error {
	t, ok := d.target.(*recordTarget)
	if !ok {
		return nil
	}
	d.mu.Lock()
	to := d.forget
	d.mu.Unlock()
	if to <= d.forgotten {
		return nil
	}
	d.forgotten = to
	within, cancel := context.WithTimeout(ctx, d.spec.Settings.Timeout.Std())
	defer cancel()
	return t.record.Forget(within, to)
}

// Press has the sinks that may drop their oldest reports do so, as far as through, so
// that the spool can give space back. What is dropped is booked on the sink and said.
// It returns whether nobody but the system of record needs those positions any more.
func (s *Set) Press(through penstock.Position) (bool, error) {
	free := true
	for _, l := range s.lanes() {
		switch {
		case l.behind() > through:
		case l.main, l.spec.Settings.WhenFull == sink.Refuse:
			free = false
		default:
			if err := l.dropOldest(through); err != nil {
				return false, err
			}
		}
	}
	return free, nil
}

// dropOldest gives up what the lane needs up to a position, but for what is being
// written. The reports are counted exactly.
func (l *lane) dropOldest(through penstock.Position) error {
	l.mu.Lock()
	missing := spans(uint64(through), &l.done, &l.flight)
	l.mu.Unlock()
	var reports uint64
	for span := range missing.All {
		n, err := l.reports(penstock.Position(span.First), penstock.Position(span.Last))
		if err != nil {
			return err
		}
		reports += n
	}
	if missing.Spans() == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.shelf.Save(shelf.Change{Edit: func(p *shelf.Place) {
		for span := range missing.All {
			p.Settled.Add(span.First, span.Last)
			if l.spec.NewRecord != nil {
				p.GivenUp.Add(span.First, span.Last)
			}
		}
		p.Books.Dropped += reports
	}})
	if err != nil {
		return err
	}
	for span := range missing.All {
		l.done.Add(span.First, span.Last)
	}
	if reports > 0 {
		l.status.Alarm = "the spool is full: the oldest reports that wait for this sink are dropped"
		l.health.Failing(l.status.Alarm)
		l.logger.Error("the spool is full: the oldest reports that waited for a sink were dropped", "reports", reports, "through", through)
	}
	return nil
}

// reports counts the reports from first to last.
func (l *lane) reports(first, last penstock.Position) (uint64, error) {
	kept := l.set.Log.First()
	if last < kept {
		return uint64(last - first + 1), nil // nobody can tell what they were
	}
	var n uint64
	read := reading.Loader{Log: l.set.Log, Name: l.spec.Name, Logger: l.logger}
	err := read.Settled(max(first, kept), last, func(ds []penstock.Delivery) error {
		for _, d := range ds {
			if d.Report != nil && d.Position <= last {
				n++
			}
		}
		return nil
	})
	return n, err
}
