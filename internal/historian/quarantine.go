package historian

import (
	"context"
	"strconv"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/head"
	"github.com/penstock/penstock/internal/historian/quarantine"
	"github.com/penstock/penstock/internal/store"
)

// QuarantinedReport is a report that waits for a person.
type QuarantinedReport = quarantine.Report

// quarantine keeps the report of a delivery with the reason.
func (s *settler) quarantine(d *penstock.Delivery, reason string) {
	now, held := s.h.o.Now().UnixNano(), d.Hold != "" && reason == d.Hold
	s.t.held.Add(s.t.batch, QuarantinedReport{Number: s.nextQuarantine, Reason: reason, Held: held, Tries: 1, First: now, Last: now, Report: d.Report})
	s.nextQuarantine++
}

// decide does what a person decided about a report in quarantine.
func (s *settler) decide(d *penstock.Delivery, again bool) (penstock.Settlement, error) {
	digest := decisionDigest(s.h.o.Store, d.Decision)
	if again {
		settled, found, err := s.answered(d.Position, digest)
		if !found {
			settled = penstock.Unchanged
		}
		return settled, err
	}
	settled := penstock.Unchanged
	q, err := s.t.held.Get(s.h.o.Store, d.Decision.Number)
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

// resolveHeld discards a report in quarantine, or stores it if that goes now.
func (s *settler) resolveHeld(verb penstock.Verb, q *QuarantinedReport) (penstock.Settlement, error) {
	v, err := verdict{settlement: penstock.Discarded, controller: s.controllerOf(q.Report)}, error(nil)
	if verb == penstock.Retry {
		if v, err = s.judgeHeld(q.Report); err != nil {
			return 0, err
		}
	}
	if v.settlement == penstock.Quarantined {
		changed := *q
		changed.Tries++
		changed.Last, changed.Reason, changed.Held = s.h.o.Now().UnixNano(), v.reason, false
		s.t.held.Add(s.t.batch, changed)
		return penstock.Quarantined, nil
	}
	s.t.held.Remove(s.t.batch, q.Number, s.nextQuarantine)
	s.write(q.Report, &v, head.Entry{Controller: v.controller.number, Settlement: v.settlement, Conflicts: v.conflicts, Resolved: true})
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

// decisionDigest tells a decision apart from another that comes at its position.
func decisionDigest(st *store.Store, d *penstock.Decision) [store.DigestSize]byte {
	return st.Digest("decision", d.Controller, strconv.Itoa(int(d.Verb)), strconv.FormatUint(d.Number, 10))
}

// Quarantined returns at most limit reports in quarantine with numbers from first on.
func (h *Historian) Quarantined(ctx context.Context, first uint64, limit int) ([]QuarantinedReport, error) {
	return quarantine.List(ctx, h.o.Store, first, limit)
}
