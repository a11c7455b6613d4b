package mongo

import (
	"context"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// taker is a report that wants a document.
type taker struct {
	index  int // of its delivery: a report, or a decision about one
	at     penstock.Position
	report *penstock.Report
	claims []*claim // of its samples, when it is known by them
}

// claim is a document that is to be written, or was already, and who wants it.
type claim struct {
	id     string
	doc    *report // nil when it must be there already
	takers []taker // in their order; the document is made for the first

	found    bool
	node     string // whose it is
	position int64
	print    penstock.Fingerprint
	held     bool // it is in quarantine, or was
}

// refusal is a report on its way to quarantine.
type refusal struct {
	taker
	cause, reason string
}

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
	w.claims, w.order, w.natural, w.refused, w.units = map[string]*claim{}, nil, nil, nil, map[string]string{}
}

// admit claims the documents of one report.
func (w *work) admit(t taker, hold string) {
	r := t.report
	if err := badIdentity(r); err != nil {
		w.refuse(t, byRecord, err.Error())
		return
	}
	cause, reason := byRule, hold
	if reason == "" {
		cause, reason = byRecord, w.hopeless(r)
	}
	if r.Identity.Form == penstock.Natural {
		if reason != "" {
			w.refuse(t, cause, reason)
			return
		}
		w.claimSamples(t)
		return
	}
	id := identityOf(r)
	c := w.claims[id]
	if c == nil {
		c = w.claim(id)
		if e := w.epochs[epochName{r.Controller, r.Identity.Epoch}]; r.Identity.Form != penstock.Sequence || e == nil || !e.known.Contains(r.Identity.Seq) {
			c.doc = w.document(id, r, t.at)
			if reason == "" {
				c.doc.Samples = samplesOf(r.Samples)
			} else {
				c.doc.Held = w.held(t, cause, reason)
			}
		}
	}
	c.takers = append(c.takers, t)
}

func (w *work) claim(id string) *claim {
	c := &claim{id: id}
	w.claims[id] = c
	w.order = append(w.order, c)
	return c
}

// claimSamples claims a document for each sample of a report without a sequence and
// a key. The first one there stands.
func (w *work) claimSamples(t taker) {
	r := t.report
	for i := range r.Samples {
		s := &r.Samples[i]
		id := sampleID(r.Controller, s)
		c := w.claims[id]
		if c == nil {
			c = w.claim(id)
			one := *r
			one.Samples = r.Samples[i : i+1]
			c.doc = w.document(id, &one, t.at)
			c.doc.Samples = samplesOf(one.Samples)
		}
		t.claims = append(t.claims, c)
	}
	w.natural = append(w.natural, t)
}

func (w *work) refuse(t taker, cause, reason string) {
	w.refused = append(w.refused, refusal{t, cause, reason})
}

// held returns what a document has of a report in quarantine.
func (w *work) held(t taker, cause, reason string) *held {
	now := w.now.UnixNano()
	return &held{
		Node: w.state.node.ID, Number: int64(t.at), Cause: cause, Reason: text(reason), Tries: 1, First: now, Last: now,
		Report: link.AppendReport(nil, t.report),
	}
}

// hopeless says why the report can never be stored, and otherwise notes its units.
func (w *work) hopeless(r *penstock.Report) string {
	fresh := map[string]string{}
	for i := range r.Samples {
		s := &r.Samples[i]
		if reason := wrong(s); reason != "" {
			return reason
		}
		if s.Unit == "" {
			continue
		}
		id := pointID(r, s)
		unit := w.state.units[id]
		if unit == "" {
			unit = w.units[id]
		}
		if unit == "" {
			unit = fresh[id]
		}
		if unit == "" {
			fresh[id], unit = s.Unit, s.Unit
		}
		if unit != s.Unit {
			return "the unit of point " + s.Point + " is " + unit + ", not " + s.Unit
		}
	}
	for id, unit := range fresh {
		w.units[id] = unit
	}
	return ""
}

// saveUnits keeps the units that the batch names first, and tells whether other nodes
// named others meanwhile.
func (w *work) saveUnits(ctx context.Context) (again bool, err error) {
	if len(w.units) == 0 {
		return false, nil
	}
	list := make([]any, 0, len(w.units))
	ids := make([]string, 0, len(w.units))
	for id, unit := range w.units {
		controller, name, _ := strings.Cut(id, "/") // no name of a controller has one
		list, ids = append(list, point{ID: id, Controller: controller, Point: name, Unit: unit}), append(ids, id)
	}
	_, err = w.points.InsertMany(ctx, list, options.InsertMany().SetOrdered(false))
	taken, err := refusals(err)
	if err != nil {
		return false, err
	}
	for id, unit := range w.units {
		w.state.units[id] = unit
	}
	var theirs []string
	for _, one := range taken {
		if one.Code != codeDuplicateKey {
			return false, one
		}
		theirs = append(theirs, ids[one.Index])
	}
	err = each(ctx, w.points, query[string]{field: "_id", values: theirs}, func(p *point) {
		again = again || p.Unit != w.units[p.ID]
		w.state.units[p.ID] = p.Unit
	})
	return again, err
}
