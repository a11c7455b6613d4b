package historian

import (
	"context"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/head"
	"github.com/penstock/penstock/internal/historian/layout"
	"github.com/penstock/penstock/internal/historian/past"
	"github.com/penstock/penstock/internal/historian/quarantine"
	"github.com/penstock/penstock/internal/historian/settled"
	"github.com/penstock/penstock/internal/historian/state"
	"github.com/penstock/penstock/internal/plant"
	"github.com/penstock/penstock/internal/store"
)

// Settle writes the deliveries and the fact that all positions up to through are
// settled, and tells what it did with each. What it returns well is durable and can
// be read. Deliveries come in the order of their positions; what is settled already
// is answered as before.
//
// A sequence or a key is stored once, with all its samples. Of a natural report
// each sample is stored whose series has none at its time; where another value
// stands there, the sample is a conflict, counted and left out. A report that
// can never be stored, such as one whose key is known with another content, goes
// to quarantine.
//
// While the head is twice as large as it should be, Settle waits for the flush.
// After an error that is not of ctx nothing can be settled before a restart.
func (h *Historian) Settle(ctx context.Context, ds []penstock.Delivery, through penstock.Position) ([]penstock.Settlement, error) {
	if err := h.room(ctx); err != nil {
		return nil, err
	}
	h.settling.Lock()
	defer h.settling.Unlock()
	s := &h.settler
	if err := s.usable(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out, err := s.settle(ds, through)
	if err != nil {
		s.broken = err
		h.changed.Tell()
		return nil, s.usable()
	}
	return out, nil
}

// room waits until the head has room.
func (h *Historian) room(ctx context.Context) error {
	return h.until(ctx, func() bool {
		if h.head.bytes < 2*h.o.HeadBytes {
			return true
		}
		h.wake()
		return false
	})
}

// settler is what Settle alone uses, under the settling lock.
type settler struct {
	h      *Historian
	sets   settled.Sets
	closed bool
	broken error // memory may be ahead of the disk: no more is settled

	firstBatch     uint64 // not in chunks
	nextBatch      uint64
	nextQuarantine uint64
	unsaved        []*controller // new ones, until their row is durable
	unsavedSeries  []SeriesID    // new or changed ones

	t transaction // the one under way, kept for its memory
}

func (s *settler) init(h *Historian) {
	s.h = h
	s.sets = settled.New(h.o.MaxSets)
}

// state returns what is settled as a flush would write it.
func (s *settler) state(through penstock.Position) state.State {
	return state.State{Through: through, Flushed: s.h.head.flushed, FirstBatch: s.firstBatch, NextQuarantine: s.nextQuarantine, Horizon: s.h.horizon}
}

func (s *settler) usable() error {
	if s.closed {
		return penstock.Errorf(penstock.Closed, "the historian is closed")
	}
	if s.broken != nil {
		return penstock.Errorf(penstock.Unavailable, "the historian stopped, restart it: %w", s.broken)
	}
	return nil
}

// transaction is one Settle under way.
type transaction struct {
	batch   *store.Batch
	journal []byte
	row     []byte // the one that is written
	marks   []mark
	series  []uint32 // of all samples of all marks
	keys    map[[store.DigestSize]byte]penstock.Fingerprint
	held    quarantine.Changes
	past    past.Samples // for natural reports
	noted   int          // how many marks are in past
}

// mark is one entry of the journal, to be published once it is durable.
type mark struct {
	controller *controller
	entry      head.Entry
	report     *penstock.Report
	row        [2]int // in the journal
	series     [2]int // in the transaction's series
	extent     head.Extent
}

func (t *transaction) reset(s *store.Store, open past.Open) {
	*t = transaction{batch: s.NewBatch(), past: past.New(open), journal: t.journal[:0], row: t.row[:0], marks: t.marks[:0], series: t.series[:0]}
}

// settle judges, writes and publishes. An error leaves memory ahead of the disk.
func (s *settler) settle(ds []penstock.Delivery, through penstock.Position) ([]penstock.Settlement, error) {
	h := s.h
	through = max(through, h.through)
	t := &s.t
	t.reset(h.o.Store, h.read)
	defer t.batch.Close()
	t.journal = head.AppendJournal(t.journal, through)
	out := make([]penstock.Settlement, len(ds))
	for i := range ds {
		var err error
		if out[i], err = s.deliver(&ds[i]); err != nil {
			return nil, err
		}
	}
	if len(t.marks) == 0 && through == h.through {
		return out, nil // all of it was settled already
	}
	if err := s.commit(through); err != nil {
		return nil, err
	}
	s.publish(through)
	clear(t.marks) // the reports are their owner's again
	return out, nil
}

// deliver settles one delivery as far as memory goes.
func (s *settler) deliver(d *penstock.Delivery) (penstock.Settlement, error) {
	again := d.Position <= s.h.through
	if d.Decision != nil {
		return s.decide(d, again)
	}
	if again {
		if settled, found, err := s.answered(d.Position, s.identityDigest(d.Report)); found || err != nil {
			return settled, err
		}
		if d.Report.Identity.Form == penstock.Natural && len(d.Report.Samples) == 0 {
			return penstock.Stored, nil // it has no sample to be told by
		}
	}
	v, err := s.judge(d.Report, d.Hold)
	if err != nil {
		return 0, err
	}
	if again && v.settlement == penstock.StoredTwice && v.conflicts == 0 {
		return penstock.Stored, nil // by an earlier call: a true duplicate has its answer kept
	}
	if v.settlement == penstock.Quarantined {
		s.quarantine(d, v.reason)
	}
	if v.settlement != penstock.Stored || v.conflicts > 0 {
		s.keepAnswer(d.Position, s.identityDigest(d.Report), v.settlement)
	}
	s.record(d.Report, &v)
	return v.settlement, nil
}

// record puts the verdict, and the row of what is to be stored, into the journal.
func (s *settler) record(r *penstock.Report, v *verdict) {
	e := head.Entry{Controller: v.controller.number, Settlement: v.settlement, Conflicts: v.conflicts}
	if r.Identity.Form == penstock.Sequence && v.known != nil {
		e.Sequence, e.Epoch, e.Seq = true, r.Identity.Epoch, r.Identity.Seq
		v.known.Add(e.Seq, e.Seq)
		v.known.Dirty = true
	}
	s.write(r, v, e)
}

// write puts an entry into the journal, with the row of what is to be stored.
func (s *settler) write(r *penstock.Report, v *verdict, e head.Entry) {
	t, c := &s.t, v.controller
	c.touched = true
	m := mark{controller: c, entry: e, report: r}
	m.extent = s.extent(r.Samples, v)
	if m.extent.Samples > 0 {
		m.extent.Fresh = s.startsBlock(c)
		m.series = v.series
		c.coder.Grow(c.points.Len())
		t.row = c.coder.Append(t.row[:0], r.Samples, t.series[v.series[0]:v.series[1]], m.extent.Fresh)
		m.entry.Row = t.row
		c.pending += len(t.row)
	}
	t.journal = head.AppendEntry(t.journal, &m.entry)
	m.row = [2]int{len(t.journal) - len(m.entry.Row), len(t.journal)}
	m.entry.Row = nil // its memory is used again
	t.marks = append(t.marks, m)
}

// startsBlock tells whether the next row of c starts a block of its log, counting
// the rows of this transaction.
func (s *settler) startsBlock(c *controller) bool {
	if c.pending == 0 || c.pending >= head.BlockSize {
		c.pending = 0
		return true
	}
	return false
}

// extent finds what is known of the samples to be stored, and notes the newest
// time of each series.
func (s *settler) extent(samples []penstock.Sample, v *verdict) head.Extent {
	e := head.Extent{First: lastTime, Last: firstTime}
	if v.settlement != penstock.Stored {
		return head.Extent{}
	}
	for i, point := range s.t.series[v.series[0]:v.series[1]] {
		if point == head.UnknownSeries {
			continue
		}
		at := samples[i].SourceTime
		e.Samples++
		e.First, e.Last = min(e.First, at), max(e.Last, at)
		if newest := v.controller.newest; int(point) < len(newest) {
			newest[point] = max(newest[point], at)
		}
	}
	return e
}

// commit makes the transaction durable: one batch with the journal, new names and
// keys, answers and quarantined reports.
func (s *settler) commit(through penstock.Position) error {
	t, st := &s.t, s.h.o.Store
	if plant.CursorBeforeData.On() {
		early := st.NewBatch()
		early.Set(layout.Meta.First(), s.state(through).Append(nil))
		if err := st.Commit(early); err != nil {
			return err
		}
	}
	for _, c := range s.unsaved {
		t.batch.Set(layout.Controller.Of4(c.number), []byte(c.name))
	}
	for _, id := range s.unsavedSeries {
		c, point, err := s.h.catalogue.find(id)
		if err != nil {
			return err
		}
		t.batch.Set(layout.Series.Of8(uint64(id)), appendSeries(nil, &c.points, point))
	}
	t.batch.Set(layout.Batch.Of8(s.nextBatch), t.journal)
	if err := st.Commit(t.batch); err != nil {
		return err
	}
	s.nextBatch++
	s.unsaved, s.unsavedSeries = nil, nil
	return nil
}

// publish shows queries what is durable now.
func (s *settler) publish(through penstock.Position) {
	h := s.h
	now := h.o.Now()
	h.mu.Lock()
	h.through = through
	for i := range s.t.marks {
		m := &s.t.marks[i]
		m.controller.counters.Count(&m.entry, m.extent.Samples)
		if m.extent.Samples == 0 {
			continue
		}
		h.head.add(m.controller, s.t.journal[m.row[0]:m.row[1]], m.extent, now)
		for k, point := range s.t.series[m.series[0]:m.series[1]] {
			if point != head.UnknownSeries {
				m.controller.points.Observe(point, &m.report.Samples[k])
			}
		}
	}
	full := h.head.bytes >= h.o.HeadBytes || h.head.crowded
	h.mu.Unlock()
	h.changed.Tell()
	if full {
		h.wake()
	}
}

// add appends a row to its controller's log.
func (d *heads) add(c *controller, row []byte, e head.Extent, now time.Time) {
	if d.bytes == 0 {
		d.since = now
	}
	d.bytes += len(row)
	c.log.Append(row, e)
	d.crowded = d.crowded || c.log.Samples >= maxControllerSamples
}

// join adds what stands in other controllers.
func (d *heads) join(o *heads) {
	d.bytes += o.bytes
	d.crowded = d.crowded || o.crowded
	if o.bytes > 0 {
		d.since = o.since
	}
}
