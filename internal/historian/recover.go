package historian

import (
	"encoding/binary"
	"errors"
	"sync"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/head"
	"github.com/penstock/penstock/internal/historian/layout"
	"github.com/penstock/penstock/internal/historian/quarantine"
	"github.com/penstock/penstock/internal/historian/settled"
	"github.com/penstock/penstock/internal/historian/state"
)

// recovery brings a historian's memory back.
type recovery struct{ *Historian }

// run reads what the last flush left, and settles the head batches again.
func (h recovery) run() error {
	st, s := h.o.Store, &h.settler
	if err := h.catalogue.load(st); err != nil {
		return err
	}
	m := state.State{Horizon: layout.DayOf(firstTime)}
	value, found, err := st.Get(layout.Meta.First())
	if err == nil && found {
		m, err = state.Read(value)
	}
	if err != nil {
		return err
	}
	h.through, h.head.flushed, h.horizon = m.Through, m.Flushed, m.Horizon
	s.firstBatch, s.nextBatch, s.nextQuarantine = m.FirstBatch, m.FirstBatch, m.NextQuarantine
	for _, load := range [...]func() error{h.loadCounters, h.loadLatest, h.compactor.Load, h.loadQuarantine, h.loadHead} {
		if err := load(); err != nil {
			return err
		}
	}
	return nil
}

// controllerRows yields the rows of one kind that controllers have.
func (h recovery) controllerRows(kind layout.Row, yield func(c *controller, value []byte) bool) error {
	return h.o.Store.Scan(kind.First(), kind.End(), func(key, value []byte) error {
		if len(key) != 6 {
			return layout.Damaged("controllers")
		}
		number := binary.BigEndian.Uint32(key[2:])
		if int64(number) >= int64(len(h.catalogue.byNumber)) || !yield(h.catalogue.byNumber[number], value) {
			return layout.Damaged("controllers")
		}
		return nil
	})
}

func (h recovery) loadCounters() error {
	return h.controllerRows(layout.Counters, func(c *controller, value []byte) bool { return c.counters.Read(value) })
}

// appendLatest writes the latest samples of the controller's series as a row.
func (c *controller) appendLatest(dst []byte) []byte {
	var samples []penstock.Sample
	var points []uint32
	for i := range uint32(c.points.Len()) {
		if latest, has := c.points.Latest(i); has {
			samples = append(samples, latest)
			points = append(points, i)
		}
	}
	var k head.Coder
	k.Grow(c.points.Len())
	return k.Append(dst, samples, points, true)
}

func (h recovery) loadLatest() error {
	return h.controllerRows(layout.Latest, func(c *controller, value []byte) bool {
		var k head.Coder
		_, ok := k.Read(value, c.points.Len(), c.points.Observe)
		return ok
	})
}

// loadQuarantine finds the next number of the quarantine.
func (h recovery) loadQuarantine() (err error) {
	s := &h.settler
	s.nextQuarantine, err = quarantine.Next(h.o.Store, s.nextQuarantine)
	return err
}

// loadHead settles the head batches again, in their order. Reading rows costs
// most, and those of different controllers have nothing to do with each other.
func (h recovery) loadHead() error {
	s := &h.settler
	workers := [2]replayer{}
	var running sync.WaitGroup
	for i := range workers {
		w := &workers[i]
		w.head.since = h.o.Now()
		w.todo = make(chan []replayed, 2)
		running.Go(w.run)
	}
	err := h.o.Store.Scan(layout.Batch.Of8(s.firstBatch), layout.Batch.End(), func(key, value []byte) error {
		if len(key) != 10 || binary.BigEndian.Uint64(key[2:]) != s.nextBatch {
			return layout.Damaged("head batches")
		}
		s.nextBatch++
		var parts [len(workers)][]replayed
		through, err := head.ReadJournal(value, func(e *head.Entry) error {
			if int64(e.Controller) >= int64(len(h.catalogue.byNumber)) {
				return layout.Damaged("head batches")
			}
			if e.Sequence {
				s.sets.Replay(settled.Key{Controller: e.Controller, Epoch: e.Epoch}, e.Seq)
			}
			part := &parts[e.Controller%uint32(len(workers))]
			*part = append(*part, replayed{h.catalogue.byNumber[e.Controller], *e})
			return nil
		})
		for i, part := range parts {
			workers[i].todo <- part
		}
		h.through = max(h.through, through)
		return err
	})
	for i := range workers {
		close(workers[i].todo)
	}
	running.Wait()
	for i := range workers {
		h.head.join(&workers[i].head)
		if workers[i].bad {
			err = errors.Join(err, layout.Damaged("head batches"))
		}
	}
	for _, c := range h.catalogue.byNumber {
		c.coder.Reset() // the next row starts a block: pending is 0
	}
	return errors.Join(err, s.sets.Join(h.o.Store))
}

// replayed is an entry of a head batch and its controller.
type replayed struct {
	controller *controller
	entry      head.Entry
}

// replayer settles the entries of its controllers again.
type replayer struct {
	todo chan []replayed
	head heads // what its controllers have
	bad  bool  // a row is malformed
}

func (w *replayer) run() {
	for part := range w.todo {
		for i := range part {
			w.bad = w.bad || !w.replay(part[i].controller, &part[i].entry)
		}
	}
}

func (w *replayer) replay(c *controller, e *head.Entry) bool {
	x := head.Extent{First: lastTime, Last: firstTime}
	rest, ok := e.Row, true
	if len(rest) > 0 {
		rest, ok = c.coder.Read(rest, c.points.Len(), func(point uint32, s *penstock.Sample) {
			x.Samples++
			x.First, x.Last = min(x.First, s.SourceTime), max(x.Last, s.SourceTime)
			c.points.Observe(point, s)
		})
		x.Fresh = c.coder.Fresh()
	}
	if !ok || len(rest) > 0 {
		return false
	}
	c.touched = true
	c.counters.Count(e, x.Samples)
	if x.Samples > 0 {
		w.head.add(c, e.Row, x, w.head.since)
	}
	return true
}
