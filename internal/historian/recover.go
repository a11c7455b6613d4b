package historian

import (
	"encoding/binary"

	"github.com/penstock/penstock"
)

// meta is what the last flush found settled, and the numbers that go on from
// there. What came later stands in the head batches.
type meta struct {
	through        penstock.Position
	flushed        uint64
	firstBatch     uint64 // the first head batch that is not in chunks
	nextQuarantine uint64
	horizon        Day
}

const metaVersion = 1

// meta returns the row as a flush would write it.
func (s *settler) meta(through penstock.Position) meta {
	return meta{through: through, flushed: s.h.head.flushed, firstBatch: s.firstBatch, nextQuarantine: s.nextQuarantine, horizon: s.h.horizon}
}

func (m meta) append(dst []byte) []byte {
	dst = append(dst, metaVersion)
	for _, v := range [...]uint64{uint64(m.through), m.flushed, m.firstBatch, m.nextQuarantine, uint64(m.horizon.sortable())} {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

func readMeta(b []byte) (meta, error) {
	r := reader{b: b}
	if v := r.byte(); v != metaVersion {
		return meta{}, penstock.Errorf(penstock.Unsupported, "the historian's state has version %d, this program reads version %d: run the newer program", v, metaVersion)
	}
	m := meta{through: penstock.Position(r.uvarint()), flushed: r.uvarint(), firstBatch: r.uvarint(), nextQuarantine: r.uvarint()}
	m.horizon = Day(uint32(r.uvarint()) ^ 1<<31)
	if r.bad {
		return meta{}, damaged("state")
	}
	return m, nil
}

// recover reads what the last flush left, and settles the head batches again.
func (h *Historian) recover() error {
	st, s := h.o.Store, &h.settler
	if err := h.catalogue.load(st); err != nil {
		return err
	}
	m := meta{horizon: DayOf(-1 << 63)}
	value, found, err := st.Get(row(rowMeta))
	if err == nil && found {
		m, err = readMeta(value)
	}
	if err != nil {
		return err
	}
	h.through, h.head.flushed, h.horizon = m.through, m.flushed, m.horizon
	s.firstBatch, s.nextBatch, s.nextQuarantine = m.firstBatch, m.firstBatch, m.nextQuarantine
	for _, load := range [...]func() error{h.loadCounters, h.loadLatest, h.loadDirty, h.loadQuarantine, h.loadHead} {
		if err := load(); err != nil {
			return err
		}
	}
	return nil
}

// controllerRows yields the rows of one kind that controllers have.
func (h *Historian) controllerRows(kind byte, yield func(c *controller, value []byte) bool) error {
	return h.o.Store.Scan(row(kind), row(kind+1), func(key, value []byte) error {
		if len(key) != 6 {
			return damaged("controllers")
		}
		number := binary.BigEndian.Uint32(key[2:])
		if int64(number) >= int64(len(h.catalogue.byNumber)) || !yield(h.catalogue.byNumber[number], value) {
			return damaged("controllers")
		}
		return nil
	})
}

func (c *Counters) fields() [5]*uint64 {
	return [5]*uint64{&c.Stored, &c.StoredTwice, &c.Quarantined, &c.Samples, &c.Conflicts}
}

func (c *Counters) append(dst []byte) []byte {
	for _, v := range c.fields() {
		dst = binary.AppendUvarint(dst, *v)
	}
	return dst
}

func (h *Historian) loadCounters() error {
	return h.controllerRows(rowCounters, func(c *controller, value []byte) bool {
		r := reader{b: value}
		for _, v := range c.counters.fields() {
			*v = r.uvarint()
		}
		return !r.bad
	})
}

// appendLatest writes the latest samples of the controller's series as a row.
func (c *controller) appendLatest(dst []byte) []byte {
	var samples []penstock.Sample
	var points []uint32
	for i := range c.series {
		if c.series[i].has {
			samples = append(samples, c.series[i].latest)
			points = append(points, uint32(i))
		}
	}
	var k coder
	k.grow(len(c.series))
	return k.append(dst, samples, points, true)
}

func (h *Historian) loadLatest() error {
	return h.controllerRows(rowLatest, func(c *controller, value []byte) bool {
		var k coder
		_, ok := k.read(value, len(c.series), func(point uint32, s *penstock.Sample) {
			c.series[point].observe(s)
			c.newest[point] = s.SourceTime
		})
		return ok
	})
}

func (h *Historian) loadDirty() error {
	return h.o.Store.Scan(row(rowDay), row(rowDay+1), func(key, value []byte) error {
		flushes, n := binary.Uvarint(value)
		if len(key) != 6 || n <= 0 {
			return damaged("days")
		}
		h.dirty[Day(binary.BigEndian.Uint32(key[2:])^1<<31)] = flushes
		return nil
	})
}

// loadQuarantine finds the next number of the quarantine, because a flush writes
// it later than the reports.
func (h *Historian) loadQuarantine() error {
	s := &h.settler
	return h.o.Store.Scan(row8(rowQuarantine, s.nextQuarantine), row(rowQuarantine+1), func(key, _ []byte) error {
		if len(key) != 10 {
			return damaged("quarantined reports")
		}
		s.nextQuarantine = binary.BigEndian.Uint64(key[2:]) + 1
		return nil
	})
}

// loadHead settles the head batches again, in their order.
func (h *Historian) loadHead() error {
	s := &h.settler
	now := h.o.Now()
	err := h.o.Store.Scan(row8(rowBatch, s.firstBatch), row(rowBatch+1), func(key, value []byte) error {
		if len(key) != 10 || binary.BigEndian.Uint64(key[2:]) != s.nextBatch {
			return damaged("head batches")
		}
		s.nextBatch++
		through, err := readJournal(value, func(e *entry, readRow rowReader) error {
			if int64(e.controller) >= int64(len(h.catalogue.byNumber)) {
				return damaged("head batches")
			}
			c := h.catalogue.byNumber[e.controller]
			x := extent{first: endOfTime, last: -1 << 63}
			if readRow != nil && !h.replayRow(c, readRow, &x) {
				return damaged("head batches")
			}
			c.touched = true
			c.counters.count(e, x.samples)
			if x.samples > 0 {
				h.head.add(c, e.row, x, now)
			}
			return h.replayIdentity(e)
		})
		h.through = max(h.through, through)
		return err
	})
	for _, c := range h.catalogue.byNumber {
		c.coder.reset() // the next row starts a block: pending is 0
	}
	return err
}

func (h *Historian) replayRow(c *controller, readRow rowReader, x *extent) bool {
	generation := c.coder.generation
	ok := readRow(&c.coder, len(c.series), func(point uint32, s *penstock.Sample) {
		x.samples++
		x.first, x.last = min(x.first, s.SourceTime), max(x.last, s.SourceTime)
		c.series[point].observe(s)
		c.newest[point] = max(c.newest[point], s.SourceTime)
	})
	x.fresh = c.coder.generation != generation
	return ok
}

func (h *Historian) replayIdentity(e *entry) error {
	if !e.sequence {
		return nil
	}
	set, err := h.settler.sets.get(h.o.Store, setKey{e.controller, e.epoch})
	if err != nil {
		return err
	}
	set.set.Add(e.seq, e.seq)
	set.dirty = true
	return nil
}

// rowReader reads the row of an entry with the controller's coder.
type rowReader func(c *coder, limit int, yield func(uint32, *penstock.Sample)) bool
