package delivery

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/delivery/reading"
	"github.com/penstock/penstock/internal/delivery/trouble"
	"github.com/penstock/penstock/internal/flow"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/pause"
	"github.com/penstock/penstock/internal/plant"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/spool"
)

// The bounds of how reports are put in order.
const (
	maxGaps      = 16 // stretches of the backlog behind which newer reports are delivered
	liveTurns    = 8  // full loads of new reports, at most, before one of the backlog has its turn
	backlogShare = 4  // a load of the backlog is this much smaller, so that new reports wait less for it
	pausedLook   = time.Second
	lingerSlice  = 20 * time.Millisecond // of a longer wait for others, to see whether the load is full
)

// drive is a lane at work on its target, until something fails.
//
// New reports go first: the drive reads at live, and what stands before it and is not
// done is the backlog. When the reports at live are late, it goes to the end of the
// log and leaves them to the backlog, as long as that has few gaps.
type drive struct {
	*lane
	loader  reading.Loader
	live    stretch
	backlog stretch
	turns   int       // loads of new reports since the last one of the backlog, liveTurns when it has its turn
	rest    time.Time // the backlog rests until then, by the throttle
	late    later     // reports that failed each for itself

	reading, writing *flow.Stage
	slot             *flow.Slot
}

// stretch is a reader and where it stands.
type stretch struct {
	reader *spool.Reader
	next   penstock.Position
}

func (s *stretch) close() {
	if s.reader != nil {
		s.reader.Close()
		s.reader = nil
	}
}

// seek returns the reader at a position.
func (s *stretch) seek(log *spool.Spool, at penstock.Position) *spool.Reader {
	if s.reader == nil || s.next != at {
		s.close()
		s.reader, s.next = log.NewReader(at), at
	}
	return s.reader
}

func (d *drive) close() {
	d.live.close()
	d.backlog.close()
}

// run feeds the target until something fails.
func (d *drive) run(ctx context.Context) error {
	d.loader = reading.Loader{Log: d.set.Log, Name: d.spec.Name, Main: d.main, Forwards: d.spec.Forwards, Intake: d.set.Intake, Logger: d.logger, Damaged: d.unreadable}
	d.measure()
	if err := d.begin(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := d.step(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// measure has the flow told of the drive's work. Only that of the system of record
// stands in the way of others.
func (d *drive) measure() {
	d.reading = d.set.Flow.Stage("delivery read", flow.Delivery, "delivery.(*drive).gather")
	if d.main {
		d.writing = d.set.Flow.Stage("record settle", flow.Delivery, "delivery.(*drive).try")
	} else {
		d.writing = d.set.Flow.Stage("sink "+d.spec.Name, flow.Aside, "delivery.(*drive).try")
	}
	d.slot = flow.SlotOf(d.set.Flow, d)
}

// timed says that a stage begins, and returns what says that it ended.
func (d *drive) timed(at *flow.Stage, b *reading.Load) (ended func()) {
	began := time.Now()
	d.slot.Enter(at, began)
	return func() {
		d.slot.Leave()
		at.Took(time.Since(began), len(b.Deliveries))
	}
}

// gather reads on.
func (d *drive) gather(ctx context.Context, from *spool.Reader, b *reading.Load, room reading.Limits, skip *interval.Set) error {
	defer d.timed(d.reading, b)()
	plant.Stall("delivery read")
	return d.loader.Gather(ctx, from, b, room, skip)
}

// begin asks the target what it has, and finds out where new reports begin.
func (d *drive) begin(ctx context.Context) error {
	d.lookBack()
	done, err := d.target.resume(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done = done
	d.live.next = penstock.Position(done.Highest()) + 1
	if d.spec.Settings.Order == sink.InOrder {
		d.live.next = penstock.Position(done.Through(1)) + 1
	}
	d.live.next = max(d.live.next, d.set.Log.First())
	return nil
}

// lookBack notes when the oldest report that waits was accepted.
func (d *drive) lookBack() {
	at := d.behind()
	d.mu.Lock()
	known := d.status.oldestAt == at && d.status.oldest != 0
	d.mu.Unlock()
	if known || at > d.set.Log.Durable() {
		return
	}
	_, accepted, _, err := reading.AcceptedFrom(d.set.Log, at)
	if err != nil {
		return // the reading that follows meets it again
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.oldest, d.status.oldestAt = accepted, at
}

// step does the next thing: what a person wants, what failed before, new reports, the
// backlog, or nothing until there is something.
func (d *drive) step(ctx context.Context) error {
	if err := d.runErrands(ctx); err != nil {
		return err
	}
	if d.paused() {
		d.lookBack()
		return d.wait(ctx, d.env.Now().Add(pausedLook))
	}
	d.skipDone()
	now := d.env.Now()
	if d.late.due(now) {
		return d.writeLate(ctx)
	}
	if d.late.blocks(d.spec.Settings.Order) {
		return d.wait(ctx, d.late.next())
	}
	durable := d.set.Log.Durable()
	gap, behind := d.gap()
	resting := now.Before(d.rest)
	if durable >= d.live.next && (!behind || resting || d.turns < liveTurns) {
		return d.deliverLive(ctx, durable)
	}
	if behind && !resting {
		return d.deliverBacklog(ctx, gap)
	}
	if !behind {
		d.idle()
	}
	until := d.late.next()
	if behind && (until.IsZero() || d.rest.Before(until)) {
		until = d.rest
	}
	return d.wait(ctx, until)
}

// skipDone moves live behind what was given up meanwhile.
func (d *drive) skipDone() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at := uint64(d.live.next); d.done.Contains(at) {
		d.live.next = penstock.Position(d.done.Through(at)) + 1
	}
}

// idle tells that there is nothing that could fail.
func (d *drive) idle() {
	d.mu.Lock()
	idle := d.status.State != Delivering
	d.mu.Unlock()
	if idle {
		d.working()
	}
}

// gap returns the first stretch of the backlog.
func (d *drive) gap() (interval.Span, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.live.next <= 1 || penstock.Position(d.done.Through(1)) >= d.live.next-1 {
		return interval.Span{}, false // the usual case costs nothing
	}
	return d.needs(1, min(d.live.next-1, d.set.Log.Durable()), &d.late.positions)
}

// wait returns when there are new reports, when a person wants something, or at a
// time that is not zero.
func (d *drive) wait(ctx context.Context, until time.Time) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	if !until.IsZero() {
		timer := time.AfterFunc(max(0, until.Sub(d.env.Now())), cancel)
		defer timer.Stop()
	}
	d.mu.Lock()
	d.interrupt = cancel
	wanted := len(d.errands) > 0
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.interrupt = nil
	}()
	if wanted {
		return nil
	}
	after := d.live.next - 1
	if d.paused() || d.late.blocks(d.spec.Settings.Order) {
		after = math.MaxUint64 // new reports change nothing
	}
	_, err := d.set.Log.Wait(inner, after)
	if inner.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}

// deliverLive writes the next new reports, unless they are so late that newer ones go
// first.
func (d *drive) deliverLive(ctx context.Context, durable penstock.Position) error {
	b := reading.Load{}
	skip, room := d.settled(), d.room(1, math.MaxUint64)
	reader := d.live.seek(d.set.Log, d.live.next)
	for until := d.env.Now().Add(d.spec.Settings.Linger.Std()); ; {
		left := until.Sub(d.env.Now())
		if err := pause.For(ctx, min(left, lingerSlice)); err != nil {
			return err
		}
		if err := d.gather(ctx, reader, &b, room, &skip); err != nil {
			return err
		}
		if left <= lingerSlice || b.Samples >= room.Samples || len(b.Deliveries) >= room.Reports {
			break
		}
	}
	if b.First == 0 {
		return nil
	}
	if d.leave(&b, durable) {
		return nil
	}
	if before := d.env.Now().Add(-d.set.LiveAfter).UnixNano(); b.Oldest < before {
		d.mark(&b, before)
	}
	d.turns++
	if b.Samples < room.Samples && len(b.Deliveries) < room.Reports {
		d.turns = liveTurns // that were all new reports there are: the backlog has its turn
	}
	d.live.next = b.Last + 1
	return d.write(ctx, &b)
}

// leave leaves late reports to the backlog and goes on at the end of the log.
func (d *drive) leave(b *reading.Load, durable penstock.Position) bool {
	late := b.Oldest > 0 && d.env.Now().Sub(time.Unix(0, b.Oldest)) > d.set.LiveAfter
	d.mu.Lock()
	gaps := d.done.Spans()
	d.mu.Unlock()
	if !late || d.spec.Settings.Order != sink.LiveFirst || gaps > maxGaps || durable <= b.Last {
		return false
	}
	d.logger.Info("new reports go first; those that waited follow, marked as historical", "from", b.First, "to", durable)
	d.live.close()
	d.live.next = durable + 1
	return true
}

// deliverBacklog writes reports from the first stretch of the backlog.
func (d *drive) deliverBacklog(ctx context.Context, gap interval.Span) error {
	d.turns = 0
	first := penstock.Position(gap.First)
	if kept := d.set.Log.First(); first < kept {
		return d.giveUp(ctx, first, min(kept-1, penstock.Position(gap.Last)), "the spool does not keep them any more")
	}
	b := reading.Load{}
	var none interval.Set
	reader := d.backlog.seek(d.set.Log, first)
	if err := d.gather(ctx, reader, &b, d.room(backlogShare, penstock.Position(gap.Last)), &none); err != nil {
		return err
	}
	if b.First == 0 {
		return nil
	}
	d.backlog.next = b.Last + 1
	d.mark(&b, math.MaxInt64)
	if rate := d.spec.Settings.Backfill; rate > 0 {
		d.rest = d.env.Now().Add(time.Duration(float64(b.Samples) / float64(rate) * float64(time.Second)))
	}
	return d.write(ctx, &b)
}

// mark marks the samples of reports that were accepted before a time as historical. A
// sink that wants its reports in order, or hands them on, gets them as they are.
func (d *drive) mark(b *reading.Load, before int64) {
	if d.spec.Forwards || d.spec.Settings.Order != sink.LiveFirst {
		return
	}
	for _, x := range b.Deliveries {
		if x.Report == nil || x.Report.AcceptedTime >= before {
			continue
		}
		for i := range x.Report.Samples {
			x.Report.Samples[i].Flags |= penstock.Historical
		}
	}
}

// room returns how much a load may have: less of the backlog, and little while it is
// not known whether the sink is back, or which report it cannot stand.
func (d *drive) room(share int, last penstock.Position) reading.Limits {
	m := reading.Limits{Last: last, Samples: max(1, d.spec.Settings.Batch/share), Reports: math.MaxInt}
	if d.breaker.Open() {
		m.Reports = trouble.ProbeReports
	}
	if d.suspicion.Most() > 0 {
		m.Reports = min(m.Reports, d.suspicion.Most())
	}
	return m
}

// settled returns the positions that are done from where new reports are read on.
func (d *drive) settled() (set interval.Set) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if penstock.Position(d.done.Highest()) >= d.live.next {
		set = d.done.Clone()
	}
	return set
}

// write writes a load and notes what became of it.
func (d *drive) write(ctx context.Context, b *reading.Load) error {
	d.mu.Lock()
	d.flight.Add(uint64(b.First), uint64(b.Last))
	if d.done.Highest() >= uint64(b.First) { // some may have been given up since they were read
		b.Deliveries = slices.DeleteFunc(b.Deliveries, func(x penstock.Delivery) bool { return d.done.Contains(uint64(x.Position)) })
	}
	if b.Oldest > 0 {
		d.status.oldest, d.status.oldestAt = b.Oldest, b.First
	}
	d.mu.Unlock()
	failed, err := d.try(ctx, b)
	if err != nil {
		return err
	}
	d.late.add(failed, d.env.Now())
	d.mu.Lock()
	d.flight = interval.Set{}
	d.done.Add(uint64(b.First), uint64(b.Last))
	for _, f := range failed {
		d.done.Remove(uint64(f.Position), uint64(f.Position))
	}
	if through := penstock.Position(d.done.Through(1)); through >= d.set.Log.Durable() {
		d.status.oldest, d.status.Alarm = 0, ""
	}
	d.mu.Unlock()
	d.working()
	return nil
}

// try writes a load within the time that a write may take.
func (d *drive) try(ctx context.Context, b *reading.Load) ([]failure, error) {
	if len(b.Deliveries) > 0 {
		d.suspicion.Tried(b.Deliveries[0].Position, len(b.Deliveries))
	}
	within, cancel := context.WithTimeout(ctx, d.spec.Settings.Timeout.Std())
	defer cancel()
	defer d.timed(d.writing, b)()
	if d.main {
		plant.Stall("record settle")
	}
	failed, err := d.target.write(within, b)
	if err == nil {
		d.suspicion.Cleared()
	}
	return failed, err
}
