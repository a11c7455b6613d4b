package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/mongo/claim"
	"github.com/penstock/penstock/internal/sink/mongo/command"
	"github.com/penstock/penstock/internal/sink/mongo/document"
)

// decide does what a person decided about reports in quarantine.
func (w *work) decide(ctx context.Context) error {
	var pending []int // deliveries
	var wanted []int64
	for i := range w.batch.Deliveries {
		d := &w.batch.Deliveries[i]
		if d.Report != nil || w.marks[i].before {
			continue
		}
		if d.Decision == nil {
			w.marks[i].settlement = penstock.Unchanged
			continue
		}
		pending, wanted = append(pending, i), append(wanted, int64(d.Decision.Number))
	}
	parked := map[int64]*document.Report{}
	mine := bson.D{{Key: "held.node", Value: w.state.node.ID}}
	if err := command.Each(ctx, w.reports, command.Query[int64]{Field: "held.number", Values: wanted, And: mine}, func(d *document.Report) { parked[d.Held.Number] = d }); err != nil {
		return err
	}
	// Decisions about one report follow each other, those about different ones go
	// together.
	for len(pending) > 0 {
		var now, later []int
		taken := map[uint64]bool{}
		for _, i := range pending {
			number := w.batch.Deliveries[i].Decision.Number
			if taken[number] {
				later = append(later, i)
			} else {
				now, taken[number] = append(now, i), true
			}
		}
		if err := w.decideEach(ctx, now, parked); err != nil {
			return err
		}
		pending = later
	}
	return nil
}

// ruling is what is decided about one report.
type ruling struct {
	index      int
	at         penstock.Position
	doc        *document.Report
	settlement penstock.Settlement
	samples    []document.Sample // that its document gets
	reason     string            // why it stays in quarantine
}

// decideEach does decisions about different reports.
func (w *work) decideEach(ctx context.Context, list []int, parked map[int64]*document.Report) error {
	var rulings []ruling
	var retried []*penstock.Report
	w.reset()
	for _, i := range list {
		d := w.batch.Deliveries[i].Decision
		r := ruling{index: i, at: w.batch.Deliveries[i].Position, doc: parked[int64(d.Number)]}
		if what := r.without(d); what != 0 {
			w.marks[i].settlement = what
			continue
		}
		if d.Verb == penstock.Discard {
			r.settlement = penstock.Discarded
		} else if report := r.doc.Decode(); report != nil {
			retried = append(retried, report)
		}
		rulings = append(rulings, r)
	}
	if err := w.learnUnits(ctx, retried); err != nil {
		return err
	}
	for i := range rulings {
		if rulings[i].settlement == 0 {
			w.retry(&rulings[i])
		}
	}
	if _, err := w.saveUnits(ctx); err != nil { // a unit that another node named meanwhile stands beside this one
		return err
	}
	if err := w.claims.Write(ctx); err != nil { // what is refused is in quarantine already
		return err
	}
	claimed := map[int]penstock.Settlement{}
	w.claims.Answers(func(t claim.Taker, what penstock.Settlement) { claimed[t.Index] = what })
	for i := range rulings {
		w.conclude(&rulings[i], claimed)
	}
	return w.writeRulings(ctx, rulings)
}

// without returns what a decision comes to about which nothing is to be done, and
// nothing otherwise.
func (r *ruling) without(d *penstock.Decision) penstock.Settlement {
	if r.doc == nil {
		return penstock.Unchanged
	}
	if done := r.doc.Held.Decided; done != nil {
		if done.Position == int64(r.at) { // a batch that failed did it
			return done.Settlement
		}
		return penstock.Unchanged
	}
	if report := r.doc.Decode(); report != nil && report.Controller != d.Controller {
		return penstock.Unchanged
	}
	return 0
}

// retry finds out whether the report can be stored now, and claims what it needs when
// its document is not that of its identity.
func (w *work) retry(r *ruling) {
	report := r.doc.Decode()
	if report == nil {
		r.reason = "the report cannot be decoded"
		return
	}
	if err := badIdentity(report); err != nil {
		r.reason = err.Error()
		return
	}
	if r.reason = w.hopeless(report); r.reason != "" {
		return
	}
	if r.doc.Held.Digest != "" {
		w.admit(claim.Taker{Index: r.index, At: r.at, Report: report}, "")
		return
	}
	r.samples = document.SamplesOf(report.Samples)
	whole := *r.doc
	whole.Samples = r.samples
	if raw, err := bson.Marshal(whole); err != nil || len(raw) > document.MaxBytes {
		r.samples, r.reason = nil, "its document would be larger than MongoDB has room for"
		return
	}
	r.settlement = penstock.Stored
}

// conclude says what came of the decision.
func (w *work) conclude(r *ruling, claimed map[int]penstock.Settlement) {
	if r.settlement == 0 && r.reason == "" {
		what, there := claimed[r.index]
		switch {
		case !there:
			r.reason = "the database refuses it"
		case what == 0:
			r.reason = otherContent
		}
		r.settlement = what
	}
	if r.reason != "" {
		r.settlement = penstock.Quarantined
	} else {
		r.doc.Held.Decided = &document.Decided{Position: int64(r.at), Settlement: r.settlement} // for the decisions that follow
	}
	w.marks[r.index].settlement = r.settlement
}

// writeRulings notes in the documents what was decided.
func (w *work) writeRulings(ctx context.Context, rulings []ruling) error {
	var done, vain []mongo.WriteModel
	for i := range rulings {
		r := &rulings[i]
		id := bson.E{Key: "_id", Value: r.doc.ID}
		if r.settlement == penstock.Quarantined {
			vain = append(vain, mongo.NewUpdateOneModel().
				SetFilter(bson.D{id, {Key: "held.tried", Value: bson.D{{Key: "$ne", Value: int64(r.at)}}}}).
				SetUpdate(bson.D{
					{Key: "$set", Value: bson.D{{Key: "held.reason", Value: document.Text(r.reason)}, {Key: "held.last", Value: w.now.UnixNano()}, {Key: "held.tried", Value: int64(r.at)}}},
					{Key: "$inc", Value: bson.D{{Key: "held.tries", Value: 1}}},
				}))
			continue
		}
		set := bson.D{{Key: "held.decided", Value: document.Decided{Position: int64(r.at), Settlement: r.settlement}}}
		if len(r.samples) > 0 {
			set = append(set, bson.E{Key: "samples", Value: r.samples}, bson.E{Key: "stored", Value: w.now})
		}
		done = append(done, mongo.NewUpdateOneModel().SetFilter(bson.D{id, {Key: "held.decided", Value: command.Absent()}}).
			SetUpdate(bson.D{{Key: "$set", Value: set}, {Key: "$unset", Value: bson.D{{Key: "held.report", Value: ""}}}}))
	}
	if _, err := w.update(ctx, w.reports, vain); err != nil {
		return err
	}
	found, err := w.update(ctx, w.reports, done)
	if err == nil && found != int64(len(done)) {
		return w.fenced(nil)
	}
	return err
}
