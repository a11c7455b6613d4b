package delivery

import (
	"context"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/delivery/reading"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/shelf"
	"github.com/penstock/penstock/internal/sink"
)

// errand is what a person wants of a lane's goroutine, which alone may write.
type errand struct {
	do     func(ctx context.Context, d *drive) error
	result chan error
}

// Pause stops delivery to a sink until Resume, also over restarts. What it needs waits
// in the spool.
func (s *Set) Pause(name string) error { return s.hold(name, true) }

// Resume ends a pause.
func (s *Set) Resume(name string) error { return s.hold(name, false) }

func (s *Set) hold(name string, held bool) error {
	l, err := s.lane(name)
	if err != nil {
		return err
	}
	if err := l.shelf.Save(shelf.Change{Edit: func(p *shelf.Place) { p.Paused = held }}); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held != held {
		l.held, l.status.Since = held, l.env.Now()
		l.logger.Info("a person paused or resumed a sink", "paused", held)
	}
	if held {
		l.health.Failing("paused by a person")
	} else if l.status.State != Retrying && l.status.State != Down {
		l.health.OK()
	}
	l.poke()
	return nil
}

// poke ends the wait under way. l.mu is held.
func (l *lane) poke() {
	if l.interrupt != nil {
		l.interrupt()
	}
}

// Replay has a plain sink given everything again that was accepted since a time. It
// returns from which position on. Codes: [penstock.NotFound] when the spool does not
// have all of that any more, [penstock.Invalid] for a record, which has each
// report once and for all.
func (s *Set) Replay(name string, since time.Time) (penstock.Position, error) {
	l, err := s.lane(name)
	if err != nil {
		return 0, err
	}
	if l.spec.NewSink == nil {
		return 0, penstock.Errorf(penstock.Invalid, "sink %s is a record: it has each report once, and is fed again by itself what it lost", name)
	}
	from, err := reading.PositionAt(s.Log, since)
	if err != nil {
		return 0, err
	}
	return from, l.again(from, s.Log.Durable())
}

// again has the positions from first to last delivered once more.
func (l *lane) again(first, last penstock.Position) error {
	// Under the lane's lock, so that nothing is released between the two.
	l.mu.Lock()
	defer l.mu.Unlock()
	if kept := l.set.Log.First(); first < kept {
		return penstock.Errorf(penstock.NotFound, "the spool has given up position %d meanwhile: it begins with %d", first, kept)
	}
	err := l.shelf.Save(shelf.Change{Edit: func(p *shelf.Place) { p.Settled.Remove(uint64(first), uint64(last)) }})
	if err != nil {
		return err
	}
	l.done.Remove(uint64(first), uint64(last))
	l.logger.Info("a person wants what was delivered to a sink once more", "from", first, "to", last)
	l.poke()
	return nil
}

// ask has the lane's goroutine do something, and waits for it.
func (l *lane) ask(ctx context.Context, do func(context.Context, *drive) error) error {
	e := &errand{do: do, result: make(chan error, 1)}
	l.mu.Lock()
	if !l.running {
		defer l.mu.Unlock()
		return penstock.Errorf(penstock.Unavailable, "sink %s does not run", l.spec.Name)
	}
	if l.status.State == Retrying || l.status.State == Down {
		defer l.mu.Unlock()
		return penstock.Errorf(penstock.Unavailable, "sink %s is in trouble: %s", l.spec.Name, l.status.Why)
	}
	l.errands = append(l.errands, e)
	l.poke()
	l.mu.Unlock()
	select {
	case err := <-e.result:
		return err
	case <-ctx.Done():
		return penstock.Errorf(penstock.Unavailable, "sink %s is busy; it goes on with what was asked", l.spec.Name)
	}
}

// refuse answers what people wanted and the lane cannot do.
func (l *lane) refuse(err error) {
	for _, e := range l.takeErrands() {
		e.result <- err
	}
}

func (l *lane) takeErrands() []*errand {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.errands
	l.errands = nil
	return list
}

// runErrands does what people want.
func (d *drive) runErrands(ctx context.Context) error {
	for _, e := range d.takeErrands() {
		e.run(ctx, d)
	}
	return d.runForget(ctx)
}

// run does the errand and answers who waits for it, also when it panics.
func (e *errand) run(ctx context.Context, d *drive) {
	err := penstock.Errorf(penstock.Internal, "a fault of the gateway: see its log")
	defer func() { e.result <- err }()
	err = e.do(ctx, d)
}

// Quarantined returns at most limit reports in the quarantine of a sink with numbers
// from first on. Code [penstock.NotFound] for a record that does not show its own, too.
func (s *Set) Quarantined(ctx context.Context, name string, first uint64, limit int) ([]sink.Held, error) {
	l, err := s.lane(name)
	if err != nil {
		return nil, err
	}
	if l.spec.NewSink != nil {
		return l.shelf.List(first, limit)
	}
	var list []sink.Held
	err = l.ask(ctx, func(ctx context.Context, d *drive) error {
		q, ok := d.target.(*recordTarget).record.(sink.Quarantine)
		if !ok {
			return penstock.Errorf(penstock.NotFound, "sink %s does not show what it holds in quarantine", name)
		}
		var err error
		list, err = q.Quarantined(ctx, first, limit)
		return err
	})
	return list, err
}

// quarantined returns one report.
func (s *Set) quarantined(ctx context.Context, name string, number uint64) (sink.Held, error) {
	list, err := s.Quarantined(ctx, name, number, 1)
	if err == nil && (len(list) == 0 || list[0].Number != number) {
		err = penstock.Errorf(penstock.NotFound, "report %d is not in the quarantine of sink %s", number, name)
	}
	if err != nil {
		return sink.Held{}, err
	}
	return list[0], nil
}

// QuarantinedReport returns one report of the quarantine of a sink, or an error of
// code [penstock.NotFound].
func (s *Set) QuarantinedReport(ctx context.Context, name string, number uint64) (sink.Held, error) {
	return s.quarantined(ctx, name, number)
}

// Decide does what a person decided about a report in the quarantine of a sink. A plain
// sink is given it at once, and done tells that it took it; a record learns of the
// decision in its turn, through the spool, and done is false.
func (s *Set) Decide(ctx context.Context, name string, number uint64, verb penstock.Verb) (done bool, err error) {
	l, err := s.lane(name)
	if err != nil {
		return false, err
	}
	h, err := s.quarantined(ctx, name, number)
	if err != nil {
		return false, err
	}
	if l.spec.NewRecord != nil {
		sink := name
		if l.main {
			sink = ""
		}
		return false, s.Intake.Decide(ctx, sink, penstock.Decision{Verb: verb, Controller: h.Report.Controller, Number: number})
	}
	if verb == penstock.Discard {
		return true, l.shelf.Save(shelf.Change{Remove: []uint64{number}, Edit: func(p *shelf.Place) { p.Books.Discarded++ }})
	}
	return true, l.ask(ctx, func(ctx context.Context, d *drive) error { return d.rewrite(ctx, h) })
}

// rewrite writes a report of the quarantine once more.
func (d *drive) rewrite(ctx context.Context, h sink.Held) error {
	t := d.target.(*plainTarget)
	within, cancel := context.WithTimeout(ctx, d.spec.Settings.Timeout.Std())
	defer cancel()
	failed, err := t.send(within, []penstock.Delivery{{Report: h.Report}})
	if err == nil && len(failed) > 0 {
		err = failed[0].err
	}
	if err == nil {
		return t.shelf.Save(shelf.Change{Remove: []uint64{h.Number}, Edit: func(p *shelf.Place) { p.Books.Delivered++ }})
	}
	h.Tries++
	h.Last, h.Reason = d.env.Now().UnixNano(), err.Error()
	if kept := t.shelf.Save(shelf.Change{Put: []sink.Held{h}}); kept != nil {
		return kept
	}
	return penstock.Errorf(penstock.CodeOf(err), "sink %s still does not take it: %w", d.spec.Name, err)
}

// book changes the books of a sink. What cannot be written is said, and lost from the
// count alone.
func (l *lane) book(change func(*shelf.Books)) {
	if err := l.shelf.Save(shelf.Change{Edit: func(p *shelf.Place) { change(&p.Books) }}); err != nil {
		l.logger.Error("the books of a sink could not be written", "error", err)
	}
}

// alarm says what was lost, until the sink has caught up.
func (l *lane) alarm(what string) {
	l.logger.Error("reports will never reach a sink", "why", what)
	l.health.Failing(what)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Alarm = what
}

// unreadable books reports that cannot be read any more and do not come again for this
// sink alone.
func (d *drive) unreadable(first, last penstock.Position) {
	d.book(func(b *shelf.Books) { b.Dropped += uint64(last - first + 1) })
	d.alarm("entries of the spool can no longer be read")
}

// giveUp settles positions that cannot be delivered any more.
func (d *drive) giveUp(ctx context.Context, first, last penstock.Position, why string) error {
	if t, ok := d.target.(*recordTarget); ok {
		if _, err := t.record.Settle(ctx, penstock.Batch{First: first, Last: last}); err != nil {
			return err
		}
	}
	err := d.shelf.Save(shelf.Change{Edit: func(p *shelf.Place) {
		p.Settled.Add(uint64(first), uint64(last))
		p.Books.Dropped += uint64(last - first + 1)
	}})
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.done.Add(uint64(first), uint64(last))
	d.mu.Unlock()
	d.alarm(why)
	return nil
}

// spans returns the stretches of [1, through] that are not in the sets.
func spans(through uint64, sets ...*interval.Set) (missing interval.Set) {
	missing.Add(1, through)
	for _, set := range sets {
		for span := range set.All {
			missing.Remove(span.First, span.Last)
		}
	}
	return missing
}
