// Package claim gives each report of a batch the documents of its identity: the first
// who claims one gets it, and everybody else is a duplicate.
package claim

import (
	"context"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/mongo/command"
	"github.com/penstock/penstock/internal/sink/mongo/document"
)

// Taker is a report that wants a document.
type Taker struct {
	Index  int // of its delivery: a report, or a decision about one
	At     penstock.Position
	Report *penstock.Report

	claims []*Claim // of its samples, when it is known by them
}

// Claim is a document that is to be written, or was already, and who wants it.
type Claim struct {
	Doc *document.Report // nil when it must be there already

	id     string
	takers []Taker // in their order; the document is made for the first

	found    bool
	node     string // whose it is
	position int64
	print    penstock.Fingerprint
	held     bool // it is in quarantine, or was
}

// refusal is a report on its way to quarantine.
type refusal struct {
	Taker
	cause, reason string
}

// Set is the documents that some reports want.
type Set struct {
	reports *mongo.Collection
	origin  document.Origin
	byID    map[string]*Claim
	order   []*Claim  // the same, in the order of the deliveries
	natural []Taker   // reports whose samples are claimed one by one
	refused []refusal // reports on their way to quarantine under an _id that is not their identity
}

// New returns a set without claims. Documents name the origin.
func New(reports *mongo.Collection, origin document.Origin) *Set {
	return &Set{reports: reports, origin: origin, byID: map[string]*Claim{}}
}

// Claim claims the document of a report's identity for the taker, and returns it when
// it is the first to do so.
func (cs *Set) Claim(id string, t Taker) (first *Claim) {
	c := cs.byID[id]
	if c == nil {
		c = &Claim{id: id}
		cs.byID[id], cs.order, first = c, append(cs.order, c), c
	}
	c.takers = append(c.takers, t)
	return first
}

// ClaimSamples claims a document for each sample of a report without a sequence and
// a key. The first one there stands.
func (cs *Set) ClaimSamples(t Taker) {
	r := t.Report
	for i := range r.Samples {
		id := document.SampleID(r.Controller, &r.Samples[i])
		c := cs.byID[id]
		if c == nil {
			one := *r
			one.Samples = r.Samples[i : i+1]
			c = &Claim{id: id, Doc: document.New(id, &one, t.At, cs.origin)}
			c.Doc.Samples = document.SamplesOf(one.Samples)
			cs.byID[id], cs.order = c, append(cs.order, c)
		}
		t.claims = append(t.claims, c)
	}
	cs.natural = append(cs.natural, t)
}

// Refuse sends the taker to quarantine under an _id that is not its identity.
func (cs *Set) Refuse(t Taker, cause, reason string) {
	cs.refused = append(cs.refused, refusal{t, cause, reason})
}

// Answers calls do with what became of each taker: nothing, where the document of its
// identity has another content.
func (cs *Set) Answers(do func(t Taker, what penstock.Settlement)) {
	for _, c := range cs.order {
		for _, t := range c.takers {
			do(t, cs.answer(c, t))
		}
	}
	for _, t := range cs.natural {
		do(t, cs.sift(t))
	}
}

func (cs *Set) answer(c *Claim, t Taker) penstock.Settlement {
	switch {
	case t.Report.Identity.Form == penstock.Keyed && c.print != t.Report.Fingerprint:
		return 0
	case !cs.ours(c, t):
		return penstock.StoredTwice
	case c.held:
		return penstock.Quarantined
	}
	return penstock.Stored
}

// ours tells whether the document was made for the taker: now, or by a batch that
// failed.
func (cs *Set) ours(c *Claim, t Taker) bool {
	return c.found && c.node == cs.origin.Node && c.position == int64(t.At)
}

// sift says what became of a report that is known by its samples.
func (cs *Set) sift(t Taker) penstock.Settlement {
	mine := func(c *Claim) bool { return cs.ours(c, t) }
	if len(t.claims) > 0 && !slices.ContainsFunc(t.claims, mine) {
		return penstock.StoredTwice
	}
	return penstock.Stored
}

// Write writes the claimed documents that are not there, and reads whose the others
// are. What the server refuses goes to quarantine.
func (cs *Set) Write(ctx context.Context) error {
	taken, refused, err := cs.insert(ctx, cs.order)
	if err != nil {
		return err
	}
	var again []*Claim
	for c, reason := range refused {
		if len(c.takers) == 0 {
			cs.refuseSample(c, reason)
			continue
		}
		t := c.takers[0]
		c.Doc.Samples, c.Doc.Held = nil, document.Hold(t.Report, t.At, cs.origin, document.ByRecord, reason)
		again = append(again, c)
	}
	return cs.keep(ctx, again, taken)
}

// keep writes the documents of reports in quarantine, and reads whose those are that
// were taken.
func (cs *Set) keep(ctx context.Context, held, taken []*Claim) error {
	more, refused, err := cs.insert(ctx, held)
	if err != nil {
		return err
	}
	for c, reason := range refused {
		return penstock.Errorf(penstock.Unavailable, "report %s cannot even be kept in quarantine; is there a validator or an index of yours on the collection? %s", c.id, reason)
	}
	return cs.lookUp(ctx, append(taken, more...))
}

// refuseSample puts the reports that want a sample which the server refuses into
// quarantine.
func (cs *Set) refuseSample(c *Claim, reason string) {
	cs.natural = slices.DeleteFunc(cs.natural, func(t Taker) bool {
		wants := slices.Contains(t.claims, c)
		if wants {
			cs.Refuse(t, document.ByRecord, reason)
		}
		return wants
	})
}

// insert writes the documents, in any order. It returns the claims whose _id was taken,
// and those that the server refuses, with its reason.
func (cs *Set) insert(ctx context.Context, list []*Claim) (taken []*Claim, refused map[*Claim]string, err error) {
	refused = map[*Claim]string{}
	var docs []any
	var of []*Claim
	for _, c := range list {
		if c.Doc == nil {
			taken = append(taken, c)
			continue
		}
		raw, err := bson.Marshal(c.Doc)
		if err != nil {
			return nil, nil, penstock.Errorf(penstock.Internal, "the document of %s: %w", c.id, err)
		}
		if len(raw) > document.MaxBytes {
			refused[c] = fmt.Sprintf("its document would have %d bytes, MongoDB has room for %d", len(raw), document.MaxBytes)
			continue
		}
		docs, of = append(docs, bson.Raw(raw)), append(of, c)
	}
	if len(docs) == 0 {
		return taken, refused, nil
	}
	failed, err := command.Insert(ctx, cs.reports, docs)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range of {
		c.found, c.node, c.position = true, c.Doc.Node, c.Doc.Position
		c.print, c.held = penstock.Fingerprint(c.Doc.Fingerprint), c.Doc.Held != nil
	}
	for _, one := range failed {
		c := of[one.Index]
		c.found = false
		if one.Code == command.DuplicateKey && ofID(one) {
			taken = append(taken, c)
		} else {
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
		Digest string `bson:"digest"`
		Number int64  `bson:"number"`
	} `bson:"held"`
}

// ownerFields are the fields of an owner.
func ownerFields() bson.D {
	return bson.D{{Key: "node", Value: 1}, {Key: "position", Value: 1}, {Key: "fingerprint", Value: 1}, {Key: "held.digest", Value: 1}, {Key: "held.number", Value: 1}}
}

func (c *Claim) note(o *owner) {
	c.found, c.node, c.position, c.print, c.held = true, o.Node, o.Position, penstock.Fingerprint(o.Fingerprint), o.Held != nil
}

// lookUp reads whose the documents are. One that must be there may have been dropped
// by the retention.
func (cs *Set) lookUp(ctx context.Context, list []*Claim) error {
	byID := map[string]*Claim{}
	ids := make([]string, len(list))
	for i, c := range list {
		ids[i], byID[c.id] = c.id, c
	}
	if err := command.Each(ctx, cs.reports, command.Query[string]{Field: "_id", Values: ids, Fields: ownerFields()}, func(o *owner) { byID[o.ID].note(o) }); err != nil {
		return err
	}
	for _, c := range list {
		if !c.found && c.Doc != nil {
			return penstock.Errorf(penstock.Unavailable, "report %s is being written by another node", c.id)
		}
	}
	return nil
}

// Quarantine writes the refused reports, and calls do with what became of each. One
// that is in quarantine already is a duplicate.
func (cs *Set) Quarantine(ctx context.Context, do func(t Taker, what penstock.Settlement)) error {
	first := map[string]*Claim{}
	digests := make([]string, 0, len(cs.refused))
	for _, f := range cs.refused {
		digest := document.DigestOf(f.Report)
		c := first[digest]
		if c == nil {
			c = &Claim{id: document.LooseID(cs.origin.Node, f.At)}
			c.Doc = document.New(c.id, f.Report, f.At, cs.origin)
			c.Doc.Held = document.Hold(f.Report, f.At, cs.origin, f.cause, f.reason)
			c.Doc.Held.Digest = digest
			first[digest], digests = c, append(digests, digest)
		}
		c.takers = append(c.takers, f.Taker)
	}
	waiting := command.Query[string]{Field: "held.digest", Values: digests, And: bson.D{{Key: "held.decided", Value: command.Absent()}}, Fields: ownerFields()}
	err := command.Each(ctx, cs.reports, waiting, func(o *owner) {
		// Two nodes may have refused it at one moment: then each has its own.
		if c := first[o.Held.Digest]; !cs.ours(c, c.takers[0]) {
			c.note(o)
		}
	})
	if err != nil {
		return err
	}
	var fresh []*Claim
	for _, c := range first {
		if !c.found {
			fresh = append(fresh, c)
		}
	}
	if err := cs.keep(ctx, fresh, nil); err != nil {
		return err
	}
	for _, c := range first {
		for _, t := range c.takers {
			if cs.ours(c, t) {
				do(t, penstock.Quarantined)
			} else {
				do(t, penstock.StoredTwice)
			}
		}
	}
	return nil
}
