package mongo

import (
	"cmp"
	"context"
	"maps"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/mongo/document"
)

const otherContent = "the key is known with another content"

// judge finds out which documents the batch's reports want. Where another node names
// a unit at the same moment, everything is judged again.
func (w *work) judge(ctx context.Context) error {
	var reports []*penstock.Report
	for i := range w.batch.Deliveries {
		if d := &w.batch.Deliveries[i]; d.Report != nil && !w.marks[i].before && badIdentity(d.Report) == nil {
			reports = append(reports, d.Report)
		}
	}
	if err := w.learnUnits(ctx, reports); err != nil {
		return err
	}
	for {
		w.reset()
		for i := range w.batch.Deliveries {
			if d := &w.batch.Deliveries[i]; d.Report != nil && !w.marks[i].before {
				w.admit(taker{index: i, at: d.Position, report: d.Report}, d.Hold)
			}
		}
		if again, err := w.saveUnits(ctx); err != nil || !again {
			return err
		}
	}
}

func (w *work) reset() {
	w.claims, w.units = newClaims(w.Record.reports, document.Origin{Node: w.state.node.ID, Now: w.now}), map[string]string{}
}

// admit claims the documents of one report.
func (w *work) admit(t taker, hold string) {
	r := t.report
	if err := badIdentity(r); err != nil {
		w.claims.refuse(t, document.ByRecord, err.Error())
		return
	}
	cause, reason := document.ByRule, hold
	if reason == "" {
		cause, reason = document.ByRecord, w.hopeless(r)
	}
	if r.Identity.Form == penstock.Natural {
		if reason != "" {
			w.claims.refuse(t, cause, reason)
			return
		}
		w.claims.claimSamples(t)
		return
	}
	id := document.IdentityOf(r)
	c := w.claims.claim(id, t)
	if c == nil || w.isSettled(r) {
		return
	}
	c.doc = document.New(id, r, t.at, w.claims.origin)
	if reason == "" {
		c.doc.Samples = document.SamplesOf(r.Samples)
	} else {
		c.doc.Held = document.Hold(r, t.at, w.claims.origin, cause, reason)
	}
}

// isSettled tells whether the report has a sequence number that is settled.
func (w *work) isSettled(r *penstock.Report) bool {
	if r.Identity.Form != penstock.Sequence {
		return false
	}
	e := w.epochs[epochName{r.Controller, r.Identity.Epoch}]
	return e != nil && e.known.Contains(r.Identity.Seq)
}

// store writes the documents of the batch's reports, and marks what became of each.
func (w *work) store(ctx context.Context) error {
	if err := w.claims.write(ctx); err != nil {
		return err
	}
	w.claims.answers(func(t taker, what penstock.Settlement) {
		if what == 0 {
			w.claims.refuse(t, document.ByRecord, otherContent)
		}
		w.marks[t.index].settlement = what
	})
	return w.claims.quarantine(ctx, func(t taker, what penstock.Settlement) { w.marks[t.index].settlement = what })
}

// hopeless says why the report can never be stored, and otherwise notes its units.
func (w *work) hopeless(r *penstock.Report) string {
	var fresh map[string]string
	for i := range r.Samples {
		s := &r.Samples[i]
		if reason := document.Wrong(s); reason != "" {
			return reason
		}
		if s.Unit == "" {
			continue
		}
		id := pointID(r, s)
		unit := cmp.Or(w.state.units[id], w.units[id], fresh[id])
		switch {
		case unit == "" && fresh == nil:
			fresh = map[string]string{id: s.Unit}
		case unit == "":
			fresh[id] = s.Unit
		case unit != s.Unit:
			return "the unit of point " + s.Point + " is " + unit + ", not " + s.Unit
		}
	}
	maps.Copy(w.units, fresh)
	return ""
}
