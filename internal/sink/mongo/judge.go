package mongo

import (
	"cmp"
	"context"
	"maps"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/mongo/claim"
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
				w.admit(claim.Taker{Index: i, At: d.Position, Report: d.Report}, d.Hold)
			}
		}
		if again, err := w.saveUnits(ctx); err != nil || !again {
			return err
		}
	}
}

func (w *work) reset() {
	w.claims, w.units = claim.New(w.Record.reports, w.origin), map[string]string{}
}

// admit claims the documents of one report.
func (w *work) admit(t claim.Taker, hold string) {
	r := t.Report
	if err := badIdentity(r); err != nil {
		w.claims.Refuse(t, document.ByRecord, err.Error())
		return
	}
	cause, reason := document.ByRule, hold
	if reason == "" {
		cause, reason = document.ByRecord, w.hopeless(r)
	}
	if r.Identity.Form == penstock.Natural {
		if reason != "" {
			w.claims.Refuse(t, cause, reason)
			return
		}
		w.claims.ClaimSamples(t)
		return
	}
	id := document.IdentityOf(r)
	c := w.claims.Claim(id, t)
	if c == nil || w.isSettled(r) {
		return
	}
	c.Doc = document.New(id, r, t.At, w.origin)
	if reason == "" {
		c.Doc.Samples = document.SamplesOf(r.Samples)
	} else {
		c.Doc.Held = document.Hold(r, t.At, w.origin, cause, reason)
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
	if err := w.claims.Write(ctx); err != nil {
		return err
	}
	w.claims.Answers(func(t claim.Taker, what penstock.Settlement) {
		if what == 0 {
			w.claims.Refuse(t, document.ByRecord, otherContent)
		}
		w.marks[t.Index].settlement = what
	})
	return w.claims.Quarantine(ctx, func(t claim.Taker, what penstock.Settlement) { w.marks[t.Index].settlement = what })
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
