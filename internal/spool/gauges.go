package spool

import "github.com/penstock/penstock/internal/flow"

// gauges tell how long entries wait for the writer, and how long it takes to make
// them durable.
type gauges struct {
	queue, sync      *flow.Stage
	waiting, writing *flow.Slot
}

func newGauges(b *flow.Book) gauges {
	return gauges{
		queue:   b.Stage("spool queue", flow.Acknowledgement, "spool.(*writer).run"),
		sync:    b.Stage("spool sync", flow.Acknowledgement, "spool.(*writer).flush"),
		waiting: b.Slot(), writing: b.Slot(),
	}
}

// on tells whether anybody wants to know.
func (g *gauges) on() bool { return g.queue != nil }

// begin says that a sync begins which ends the waiting of the calls, and returns
// what says that it ended.
func (w *writer) begin(calls []call) (ended func()) {
	if !w.flow.on() {
		return func() {}
	}
	began := w.opt.Now()
	w.flow.waiting.Leave() // until those that came meanwhile are waited for again
	entries := 0
	for _, c := range calls {
		w.flow.queue.Took(began.Sub(c.since), len(c.entries))
		entries += len(c.entries)
	}
	w.flow.writing.Enter(w.flow.sync, began)
	return func() {
		w.flow.writing.Leave()
		w.flow.sync.Took(w.opt.Now().Sub(began), entries)
	}
}
