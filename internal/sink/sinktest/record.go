package sinktest

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/sink"
)

// Record is the record of a node in a [Store].
type Record struct {
	store  *Store
	node   func() sink.Node
	closed atomic.Bool
}

// Resume implements [penstock.Record].
func (r *Record) Resume(ctx context.Context) ([]penstock.Settled, error) {
	if r.closed.Load() {
		return nil, penstock.Errorf(penstock.Closed, "the record is closed")
	}
	var runs []penstock.Settled
	err := r.store.transact(ctx, func(s *state) error {
		n := r.node()
		p := s.nodes[n.ID]
		if p == nil {
			p = &place{other: map[penstock.Position]penstock.Settlement{}}
			s.nodes[n.ID] = p
		}
		if p.life != "" && !n.Wrote(p.life, penstock.Position(p.settled.Highest())) {
			return penstock.Errorf(penstock.Conflict, "another history of the spool has settled up to %d", p.settled.Highest())
		}
		p.life = n.Life()
		for span := range p.settled.All {
			run := penstock.Settled{First: penstock.Position(span.First), Last: penstock.Position(span.Last), Other: map[penstock.Position]penstock.Settlement{}}
			for at, what := range p.other {
				if at >= run.First && at <= run.Last {
					run.Other[at] = what
				}
			}
			runs = append(runs, run)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return runs, nil
}

// Settle implements [penstock.Record].
func (r *Record) Settle(ctx context.Context, b penstock.Batch) (penstock.Receipt, error) {
	if r.closed.Load() {
		return penstock.Receipt{}, penstock.Errorf(penstock.Closed, "the record is closed")
	}
	var receipt penstock.Receipt
	err := r.store.transact(ctx, func(s *state) error {
		n := r.node()
		p := s.nodes[n.ID]
		if p == nil || p.life != n.Life() {
			return penstock.Errorf(penstock.Conflict, "another process settles for this node")
		}
		for _, d := range b.Deliveries {
			what, answered := p.answer(d.Position)
			if !answered {
				what = s.deliver(n.ID, d)
			}
			if what != penstock.Stored {
				p.other[d.Position] = what
			}
			receipt.Settlements = append(receipt.Settlements, what)
		}
		for _, f := range b.Filled {
			if f.Check() == nil {
				s.fill(epoch{"", f.Controller, f.Epoch}, f)
			}
		}
		p.settled.Add(uint64(b.First), uint64(b.Last))
		receipt.Known = s.known(n.ID, b)
		return nil
	})
	if err != nil {
		return penstock.Receipt{}, err
	}
	return receipt, nil
}

// answer returns what was done with a position that is settled already.
func (p *place) answer(at penstock.Position) (penstock.Settlement, bool) {
	if !p.settled.Contains(uint64(at)) {
		return 0, false
	}
	if what := p.other[at]; what != 0 {
		return what, true
	}
	return penstock.Stored, true
}

// Forget implements [penstock.Record].
func (r *Record) Forget(ctx context.Context, through penstock.Position) error {
	return r.store.transact(ctx, func(s *state) error {
		if p := s.nodes[r.node().ID]; p != nil {
			for at := range p.other {
				if at <= through {
					delete(p.other, at)
				}
			}
		}
		return nil
	})
}

// Close implements [penstock.Record].
func (r *Record) Close() error {
	r.closed.Store(true)
	return nil
}

// Quarantined implements [sink.Quarantine].
func (r *Record) Quarantined(ctx context.Context, first uint64, limit int) ([]sink.Held, error) {
	var list []sink.Held
	err := r.store.transact(ctx, func(s *state) error {
		for number := first; number < s.next && len(list) < limit; number++ {
			if h, ok := s.held[number]; ok {
				list = append(list, h)
			}
		}
		return nil
	})
	return list, err
}

func (s *state) deliver(node string, d penstock.Delivery) penstock.Settlement {
	if d.Decision != nil {
		return s.decide(d.Decision)
	}
	r := d.Report
	if what := s.identity(node, r); what != penstock.Stored {
		return what
	}
	if d.Hold != "" {
		return s.quarantine(r, d.Hold)
	}
	if why := s.refused(r); why != "" {
		return s.quarantine(r, why)
	}
	return s.write(r)
}

func (s *state) refused(r *penstock.Report) string {
	if s.refuse == nil {
		return ""
	}
	return s.refuse(r)
}

// identity settles the report's identity, and tells what follows from that alone.
func (s *state) identity(node string, r *penstock.Report) penstock.Settlement {
	switch r.Identity.Form {
	case penstock.Sequence:
		if !s.settle(epoch{"", r.Controller, r.Identity.Epoch}, r.Identity.Seq) {
			return penstock.StoredTwice
		}
		s.settle(epoch{node, r.Controller, r.Identity.Epoch}, r.Identity.Seq)
	case penstock.Keyed:
		k := key{r.Controller, r.Identity.Key}
		print, known := s.keys[k]
		if known && print == r.Fingerprint {
			return penstock.StoredTwice
		}
		if known {
			return s.quarantine(r, "the key is known with another content")
		}
		s.keys[k] = r.Fingerprint
	}
	return penstock.Stored
}

func (s *state) settle(e epoch, seq uint64) (fresh bool) {
	set := s.settled[e]
	fresh = set.Add(seq, seq) > 0
	s.settled[e] = set
	return fresh
}

func (s *state) fill(e epoch, f penstock.Filled) {
	sets := s.filled
	if f.Dropped {
		sets = s.settled
	}
	set := sets[e]
	set.Add(f.First, f.Last)
	sets[e] = set
}

// write stores the samples, of a natural report those that are new.
func (s *state) write(r *penstock.Report) penstock.Settlement {
	fresh := 0
	for _, sample := range r.Samples {
		at := sampleKey{r.Controller, sample.Point, sample.SourceTime}
		if _, there := s.at[at]; there && r.Identity.Form == penstock.Natural {
			continue
		}
		s.at[at] = sample
		s.samples = append(s.samples, Sample{r.Controller, sample})
		fresh++
	}
	if fresh == 0 && len(r.Samples) > 0 {
		return penstock.StoredTwice
	}
	return penstock.Stored
}

func (s *state) quarantine(r *penstock.Report, reason string) penstock.Settlement {
	kept := *r
	kept.Samples = slices.Clone(r.Samples)
	s.held[s.next] = sink.Held{Number: s.next, Reason: reason, Tries: 1, Report: &kept}
	s.next++
	return penstock.Quarantined
}

func (s *state) decide(d *penstock.Decision) penstock.Settlement {
	h, there := s.held[d.Number]
	if !there || h.Report.Controller != d.Controller {
		return penstock.Unchanged
	}
	if d.Verb == penstock.Retry && h.Report.Identity.Form == penstock.Keyed {
		print, known := s.keys[key{d.Controller, h.Report.Identity.Key}]
		if known && print != h.Report.Fingerprint {
			return penstock.Quarantined
		}
	}
	if d.Verb == penstock.Retry && s.refused(h.Report) != "" {
		h.Tries++
		s.held[d.Number] = h
		return penstock.Quarantined
	}
	delete(s.held, d.Number)
	if d.Verb == penstock.Discard {
		return penstock.Discarded
	}
	return s.write(h.Report)
}

// known returns what the store holds of the batch's epochs that another node brought.
func (s *state) known(node string, b penstock.Batch) []penstock.Known {
	var all []penstock.Known
	seen := map[epoch]bool{}
	for _, d := range b.Deliveries {
		if d.Report == nil || d.Report.Identity.Form != penstock.Sequence {
			continue
		}
		e := epoch{"", d.Report.Controller, d.Report.Identity.Epoch}
		mine := s.settled[epoch{node, e.controller, e.number}]
		whole, filled := s.settled[e], s.filled[e]
		if seen[e] || whole.Equal(&mine) {
			continue
		}
		seen[e] = true
		all = append(all, penstock.Known{Controller: e.controller, Epoch: e.number, Settled: ranges(&whole), Filled: ranges(&filled)})
	}
	return all
}

func ranges(set *interval.Set) []penstock.SeqRange {
	var list []penstock.SeqRange
	for span := range set.All {
		list = append(list, penstock.SeqRange{First: span.First, Last: span.Last})
	}
	return list
}
