package mongo

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/penstock/penstock"
)

// store writes the documents of the batch's reports, and marks what became of each.
func (w *work) store(ctx context.Context) error {
	if err := w.settleClaims(ctx); err != nil {
		return err
	}
	for _, c := range w.order {
		for _, t := range c.takers {
			what := w.answer(c, t)
			if what == 0 {
				w.refuse(t, byRecord, otherContent)
			}
			w.marks[t.index].settlement = what
		}
	}
	for _, t := range w.natural {
		w.marks[t.index].settlement = w.sift(t)
	}
	return w.quarantine(ctx)
}

// answer says what became of a report with a sequence or a key, by the document of its
// identity: nothing, when that has another content.
func (w *work) answer(c *claim, t taker) penstock.Settlement {
	switch {
	case t.report.Identity.Form == penstock.Keyed && c.print != t.report.Fingerprint:
		return 0
	case !w.ours(c, t):
		return penstock.StoredTwice
	case c.held:
		return penstock.Quarantined
	}
	return penstock.Stored
}

// ours tells whether the document was made for the taker: now, or by a batch that
// failed.
func (w *work) ours(c *claim, t taker) bool {
	return c.found && c.node == w.state.node.ID && c.position == int64(t.at)
}

// sift says what became of a report that is known by its samples.
func (w *work) sift(t taker) penstock.Settlement {
	for _, c := range t.claims {
		if w.ours(c, t) {
			return penstock.Stored
		}
	}
	if len(t.claims) > 0 {
		return penstock.StoredTwice
	}
	return penstock.Stored
}

// settleClaims writes the claimed documents that are not there, and reads whose the
// others are.
func (w *work) settleClaims(ctx context.Context) error {
	lost, refused, err := w.insert(ctx, w.order)
	if err != nil {
		return err
	}
	var again []*claim // those that the server refused, as reports in quarantine
	for c, reason := range refused {
		if len(c.takers) == 0 {
			w.refuseSample(c, reason)
			continue
		}
		c.doc.Samples, c.doc.Held = nil, w.held(c.takers[0], byRecord, reason)
		again = append(again, c)
	}
	more, refused, err := w.insert(ctx, again)
	if err != nil {
		return err
	}
	for c, reason := range refused {
		return penstock.Errorf(penstock.Unavailable, "report %s cannot even be kept in quarantine; is there a validator or an index of yours on the collection? %s", c.id, reason)
	}
	return w.lookUp(ctx, append(lost, more...))
}

// refuseSample puts the reports that want a sample which the server refuses into
// quarantine.
func (w *work) refuseSample(c *claim, reason string) {
	kept := w.natural[:0]
	for _, t := range w.natural {
		wants := false
		for _, other := range t.claims {
			wants = wants || other == c
		}
		if wants {
			w.refuse(t, byRecord, reason)
		} else {
			kept = append(kept, t)
		}
	}
	w.natural = kept
}

// insert writes the documents, in any order. It returns the claims whose _id was taken,
// and those that the server refuses, with its reason.
func (w *work) insert(ctx context.Context, claims []*claim) (taken []*claim, refused map[*claim]string, err error) {
	refused = map[*claim]string{}
	var docs []any
	var of []*claim
	for _, c := range claims {
		if c.doc == nil {
			taken = append(taken, c)
			continue
		}
		raw, err := bson.Marshal(c.doc)
		if err != nil {
			return nil, nil, penstock.Errorf(penstock.Internal, "the document of %s: %w", c.id, err)
		}
		if len(raw) > maxDocument {
			refused[c] = fmt.Sprintf("its document would have %d bytes, MongoDB has room for %d", len(raw), maxDocument)
			continue
		}
		docs, of = append(docs, bson.Raw(raw)), append(of, c)
	}
	if len(docs) == 0 {
		return taken, refused, nil
	}
	_, err = w.reports.InsertMany(ctx, docs, options.InsertMany().SetOrdered(false))
	failed, err := refusals(err)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range of {
		c.found, c.node, c.position = true, c.doc.Node, c.doc.Position
		c.print, c.held = penstock.Fingerprint(c.doc.Fingerprint), c.doc.Held != nil
	}
	for _, one := range failed {
		c := of[one.Index]
		c.found = false
		switch {
		case one.Code == codeDuplicateKey && ofID(one):
			taken = append(taken, c)
		default:
			refused[c] = "the database refuses it: " + one.Message
		}
	}
	return taken, refused, nil
}

// ofID tells whether a key that was taken is an _id, and not that of an index that
// somebody added. A server that does not say has no such indexes.
func ofID(e mongo.BulkWriteError) bool {
	pattern, err := e.Raw.LookupErr("keyPattern")
	if err != nil {
		return true
	}
	keys, ok := pattern.DocumentOK()
	if !ok {
		return true
	}
	_, err = keys.LookupErr("_id")
	return err == nil
}

// owner is of a document of a report whose it is.
type owner struct {
	ID          string `bson:"_id"`
	Node        string `bson:"node"`
	Position    int64  `bson:"position"`
	Fingerprint int64  `bson:"fingerprint"`
	Held        *struct {
		Number int64 `bson:"number"`
	} `bson:"held"`
}

// lookUp reads whose the documents are. One that must be there may have been dropped
// by the retention.
func (w *work) lookUp(ctx context.Context, claims []*claim) error {
	byID := map[string]*claim{}
	ids := make([]string, len(claims))
	for i, c := range claims {
		ids[i], byID[c.id] = c.id, c
	}
	fields := bson.D{{Key: "node", Value: 1}, {Key: "position", Value: 1}, {Key: "fingerprint", Value: 1}, {Key: "held.number", Value: 1}}
	err := each(ctx, w.reports, query[string]{field: "_id", values: ids, fields: fields}, func(o *owner) {
		c := byID[o.ID]
		c.found, c.node, c.position, c.print, c.held = true, o.Node, o.Position, penstock.Fingerprint(o.Fingerprint), o.Held != nil
	})
	if err != nil {
		return err
	}
	for _, c := range claims {
		if !c.found && c.doc != nil {
			return penstock.Errorf(penstock.Unavailable, "report %s is being written by another node", c.id)
		}
	}
	return nil
}

// quarantine writes the refused reports. One that is in quarantine already is a
// duplicate.
func (w *work) quarantine(ctx context.Context) error {
	if len(w.refused) == 0 {
		return nil
	}
	first := map[string]*claim{}
	digests := make([]string, 0, len(w.refused))
	for i := range w.refused {
		f := &w.refused[i]
		digest := digestOf(f.report)
		c := first[digest]
		if c == nil {
			c = &claim{id: looseID(w.state.node.ID, f.at)}
			c.doc = w.document(c.id, f.report, f.at)
			c.doc.Held = w.held(f.taker, f.cause, f.reason)
			c.doc.Held.Digest = digest
			first[digest], digests = c, append(digests, digest)
		}
		c.takers = append(c.takers, f.taker)
	}
	type parked struct {
		Node     string `bson:"node"`
		Position int64  `bson:"position"`
		Held     held   `bson:"held"`
	}
	fields := bson.D{{Key: "node", Value: 1}, {Key: "position", Value: 1}, {Key: "held.digest", Value: 1}}
	waiting := query[string]{field: "held.digest", values: digests, and: bson.D{{Key: "held.decided", Value: absent()}}, fields: fields}
	if err := each(ctx, w.reports, waiting, func(p *parked) {
		c := first[p.Held.Digest]
		if c.found && w.ours(c, c.takers[0]) {
			return // two nodes refused it at one moment: each has its own
		}
		c.found, c.node, c.position, c.held = true, p.Node, p.Position, true
	}); err != nil {
		return err
	}
	var fresh []*claim
	for _, c := range first {
		if !c.found {
			fresh = append(fresh, c)
		}
	}
	lost, refused, err := w.insert(ctx, fresh)
	if err == nil {
		err = w.lookUp(ctx, lost)
	}
	if err != nil {
		return err
	}
	for c, reason := range refused {
		return penstock.Errorf(penstock.Unavailable, "report %s cannot be kept in quarantine: %s", c.id, reason)
	}
	for _, c := range first {
		for _, t := range c.takers {
			w.marks[t.index].settlement = penstock.StoredTwice
			if w.ours(c, t) {
				w.marks[t.index].settlement = penstock.Quarantined
			}
		}
	}
	w.refused = nil
	return nil
}
