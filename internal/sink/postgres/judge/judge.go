package judge

import (
	"errors"
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/postgres/copyrow"
)

// Judge decides about every delivery, in their order.
func (c *Case) Judge() {
	samples := 0
	for i := range c.Batch.Deliveries {
		if r := c.Batch.Deliveries[i].Report; r != nil {
			samples += len(r.Samples)
		}
	}
	c.Rows, c.Of = slices.Grow(c.Rows, samples), slices.Grow(c.Of, samples)
	for i := range c.Batch.Deliveries {
		d, m := &c.Batch.Deliveries[i], &c.Marks[i]
		if c.Settled.Contains(uint64(d.Position)) {
			m.Before = true
			if m.Settlement = c.Outcomes[d.Position]; m.Settlement == 0 {
				m.Settlement = penstock.Stored
			}
			continue
		}
		h := c.Owners[NameOf(d)]
		if d.Report == nil {
			m.Settlement = c.decide(h, d.Decision)
			continue
		}
		m.Settlement = c.admit(i, h)
		if m.Settlement == penstock.StoredTwice {
			c.touch(h, d.Report).Counts.Duplicates++
		}
	}
	c.fill()
}

// fill notes the numbers that are filled without a report.
func (c *Case) fill() {
	for i := range c.Batch.Filled {
		f := &c.Batch.Filled[i]
		if f.Check() != nil {
			continue
		}
		e := c.Held[f.Controller].Epoch(penstock.SequenceIdentity(f.Epoch, f.First))
		known, added := &e.Filled, &e.Refused
		if f.Dropped {
			known, added = &e.Numbers, &e.Added
		}
		if known.Add(f.First, f.Last) > 0 {
			added.Add(f.First, f.Last)
			e.Touched = true
		}
	}
}

// touch returns the epoch of the report, which the transaction writes.
func (c *Case) touch(h *Held, r *penstock.Report) *Epoch {
	e := h.Epoch(r.Identity)
	e.Touched = true
	return e
}

// admit judges one report by its identity, and then by what is in it. A refused
// one is Quarantined.
func (c *Case) admit(i int, h *Held) penstock.Settlement {
	d := &c.Batch.Deliveries[i]
	r := d.Report
	refuse := func(cause, reason string) penstock.Settlement {
		c.Refused = append(c.Refused, Refusal{Index: i, Owner: h, Report: r, Cause: cause, Reason: reason})
		return penstock.Quarantined
	}
	if err := errors.Join(penstock.CheckControllerName(r.Controller), r.Identity.Check()); err != nil {
		return refuse(ByRecord, err.Error())
	}
	switch r.Identity.Form {
	case penstock.Sequence:
		e := h.Epoch(r.Identity)
		if e.Numbers.Contains(r.Identity.Seq) {
			return penstock.StoredTwice
		}
		e.Numbers.Add(r.Identity.Seq, r.Identity.Seq)
		e.Added.Add(r.Identity.Seq, r.Identity.Seq)
	case penstock.Keyed:
		content, known := h.keys[r.Identity.Key]
		if known && content != r.Fingerprint {
			return refuse(ByRecord, otherContent)
		}
		if known {
			return penstock.StoredTwice
		}
		h.Keep(r.Identity.Key, r.Fingerprint)
		c.Keys = append(c.Keys, NewKey{h, r})
	}
	if d.Hold != "" {
		return refuse(ByRule, d.Hold)
	}
	if c.Refuse != "" {
		return refuse(ByRecord, c.Refuse)
	}
	if reason := c.describe(h, r); reason != "" {
		return refuse(ByRecord, reason)
	}
	if r.Identity.Form == penstock.Natural {
		return c.sift(h, r)
	}
	c.store(h, r)
	return penstock.Stored
}

// decide does what a person decided about a report in quarantine.
func (c *Case) decide(h *Held, d *penstock.Decision) penstock.Settlement {
	if d == nil {
		return penstock.Unchanged
	}
	p := c.Parked[int64(d.Number)]
	if p == nil || p.Gone || p.Report != nil && p.Report.Controller != d.Controller {
		return penstock.Unchanged
	}
	if d.Verb == penstock.Discard {
		p.Gone = true
		if p.Report != nil {
			c.touch(h, p.Report).Counts.Quarantined--
		}
		return penstock.Discarded
	}
	p.Again = true
	if p.Reason = c.hopeless(h, p.Report); p.Reason != "" {
		return penstock.Quarantined
	}
	p.Gone = true
	c.touch(h, p.Report).Counts.Quarantined--
	if p.Report.Identity.Form == penstock.Natural {
		return c.sift(h, p.Report)
	}
	c.store(h, p.Report)
	return penstock.Stored
}

// hopeless says why a report in quarantine still cannot be stored.
func (c *Case) hopeless(h *Held, r *penstock.Report) string {
	if r == nil {
		return "the report cannot be decoded"
	}
	if c.Refuse != "" {
		return c.Refuse
	}
	if content, known := h.keys[r.Identity.Key]; known && r.Identity.Form == penstock.Keyed && content != r.Fingerprint {
		return otherContent
	}
	return c.describe(h, r)
}

const otherContent = "the key is known with another content"

// store takes all samples of the report.
func (c *Case) store(h *Held, r *penstock.Report) {
	for i := range r.Samples {
		c.add(h, r, i)
	}
	c.touch(h, r).Counts.Reports++
}

// add takes sample i of the report that was described last.
func (c *Case) add(h *Held, r *penstock.Report, i int) {
	s := &r.Samples[i]
	e := c.touch(h, r)
	e.Counts.Samples++
	e.Newest = max(e.Newest, s.SourceTime)
	if h.Natural {
		if h.pending == nil {
			h.pending = map[SampleAt][]Content{}
		}
		at := SampleAt{c.found[i], s.SourceTime}
		h.pending[at] = append(h.pending[at], ContentOf(s))
	}
	c.Rows = append(c.Rows, copyrow.Row{Report: r, Sample: s})
	c.Of = append(c.Of, c.found[i])
}
