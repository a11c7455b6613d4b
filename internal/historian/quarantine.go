package historian

import (
	"context"
	"encoding/binary"
	"strconv"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/head"
	"github.com/penstock/penstock/internal/historian/layout"
	"github.com/penstock/penstock/internal/historian/quarantine"
	"github.com/penstock/penstock/internal/store"
)

// QuarantinedReport is a report that could not be stored, or that a step wants a
// person to see.
type QuarantinedReport = quarantine.Report

// quarantine keeps the report of a delivery with the reason.
func (s *settler) quarantine(d *penstock.Delivery, reason string) {
	now := s.h.o.Now().UnixNano()
	held := d.Hold != "" && reason == d.Hold
	s.putHeld(QuarantinedReport{Number: s.nextQuarantine, Reason: reason, Held: held, Tries: 1, First: now, Last: now, Report: d.Report})
	s.nextQuarantine++
}

// putHeld writes a row of the quarantine.
func (s *settler) putHeld(q QuarantinedReport) {
	s.t.batch.Set(layout.Quarantine.Of8(q.Number), quarantine.Append(nil, q))
	s.noteHeld(q.Number, &q)
}

// removeHeld takes a row out of the quarantine. Its number is not used again, also
// when it was the last one and the state is only written by the next flush.
func (s *settler) removeHeld(number uint64) {
	s.t.batch.Delete(layout.Quarantine.Of8(number))
	s.t.batch.Set(layout.Numbers.First(), binary.BigEndian.AppendUint64(nil, s.nextQuarantine))
	s.noteHeld(number, nil)
}

// noteHeld remembers what this transaction did to a row, which the store does not show
// yet: nil when it is gone.
func (s *settler) noteHeld(number uint64, q *QuarantinedReport) {
	if s.t.held == nil {
		s.t.held = map[uint64]*QuarantinedReport{}
	}
	s.t.held[number] = q
}

// heldReport returns a report in quarantine, nil when there is none with the number.
func (s *settler) heldReport(number uint64) (*QuarantinedReport, error) {
	if q, touched := s.t.held[number]; touched {
		return q, nil
	}
	value, found, err := s.h.o.Store.Get(layout.Quarantine.Of8(number))
	if !found || err != nil {
		return nil, err
	}
	q, ok := quarantine.Read(value)
	if !ok {
		return nil, damaged("quarantined reports")
	}
	q.Number = number
	return &q, nil
}

// decide does what a person decided about a report in quarantine.
func (s *settler) decide(d *penstock.Delivery, again bool) (penstock.Settlement, error) {
	digest := s.decisionDigest(d.Decision)
	if again {
		settled, found, err := s.answered(d.Position, digest)
		if !found {
			settled = penstock.Unchanged
		}
		return settled, err
	}
	settled := penstock.Unchanged
	q, err := s.heldReport(d.Decision.Number)
	if err != nil {
		return 0, err
	}
	if q != nil && q.Report.Controller == d.Decision.Controller {
		if settled, err = s.resolveHeld(d.Decision.Verb, q); err != nil {
			return 0, err
		}
	}
	s.keepAnswer(d.Position, digest, settled)
	return settled, nil
}

// resolveHeld discards a report in quarantine, or stores what now can be stored. One
// that still cannot stays, with the new reason.
func (s *settler) resolveHeld(verb penstock.Verb, q *QuarantinedReport) (penstock.Settlement, error) {
	if verb == penstock.Discard {
		s.removeHeld(q.Number)
		s.resolved(&verdict{settlement: penstock.Discarded, controller: s.controllerOf(q.Report)}, q.Report)
		return penstock.Discarded, nil
	}
	v, err := s.judgeHeld(q.Report)
	if err != nil {
		return 0, err
	}
	if v.settlement == penstock.Quarantined {
		changed := *q
		changed.Tries++
		changed.Last, changed.Reason, changed.Held = s.h.o.Now().UnixNano(), v.reason, false
		s.putHeld(changed)
		return penstock.Quarantined, nil
	}
	s.removeHeld(q.Number)
	s.resolved(&v, q.Report)
	return v.settlement, nil
}

// judgeHeld judges a report whose identity was settled when it went to quarantine: what
// is left to be judged is its content.
func (s *settler) judgeHeld(r *penstock.Report) (verdict, error) {
	v := verdict{settlement: penstock.Stored, controller: s.controllerOf(r)}
	if err := checkNames(r); err != nil {
		return v.refuse(err.Error()), nil
	}
	if r.Identity.Form == penstock.Keyed {
		content, found, err := s.keyed(r)
		if err != nil {
			return v, err
		}
		if found && content != r.Fingerprint {
			return v.refuse(otherContent), nil
		}
	}
	if reason := s.resolve(r, &v); reason != "" {
		return v.refuse(reason), nil
	}
	var err error
	switch r.Identity.Form {
	case penstock.Keyed:
		s.keepKey(r)
	case penstock.Natural:
		err = s.sift(r, &v)
	}
	return v, err
}

// controllerOf returns the controller in whose books a report stands.
func (s *settler) controllerOf(r *penstock.Report) *controller {
	if checkNames(r) != nil {
		return s.controller("")
	}
	return s.controller(r.Controller)
}

// resolved puts what became of a report that was in quarantine into the journal.
func (s *settler) resolved(v *verdict, r *penstock.Report) {
	s.write(r, v, head.Entry{Controller: v.controller.number, Settlement: v.settlement, Conflicts: v.conflicts, Resolved: true})
}

// decisionDigest tells a decision apart from another that comes at its position.
func (s *settler) decisionDigest(d *penstock.Decision) [store.DigestSize]byte {
	return s.h.o.Store.Digest("decision", d.Controller, strconv.Itoa(int(d.Verb)), strconv.FormatUint(d.Number, 10))
}

// Quarantined returns at most limit reports in quarantine with numbers from first on.
func (h *Historian) Quarantined(ctx context.Context, first uint64, limit int) (list []QuarantinedReport, err error) {
	c, err := h.o.Store.NewCursor()
	if err != nil {
		return nil, err
	}
	defer func() {
		if closed := c.Close(); err == nil {
			err = closed
		}
	}()
	for from := layout.Quarantine.Of8(first); from != nil && len(list) < limit; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		page, err := c.Page(from, layout.Quarantine.End(), nil)
		if err != nil {
			return nil, err
		}
		for _, p := range page.Pairs[:min(len(page.Pairs), limit-len(list))] {
			q, ok := quarantine.Read(p.Value)
			if !ok || len(p.Key) != 10 {
				return nil, damaged("quarantined reports")
			}
			q.Number = binary.BigEndian.Uint64(p.Key[2:])
			list = append(list, q)
		}
		from = page.Next
	}
	return list, nil
}
