package mongo

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/mongo/claim"
	"github.com/penstock/penstock/internal/sink/mongo/command"
	"github.com/penstock/penstock/internal/sink/mongo/document"
)

// Settle implements [penstock.Record]. What it writes before the place is found again
// by its node and position when the batch comes again.
func (r *Record) Settle(ctx context.Context, b penstock.Batch) (penstock.Receipt, error) {
	if err := r.take(ctx); err != nil {
		return penstock.Receipt{}, err
	}
	defer r.give()
	if !r.state.ready {
		return penstock.Receipt{}, r.translate("settling", penstock.Errorf(penstock.Unavailable, "what is settled must be found out first"))
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	w := newWork(r, b)
	for _, step := range []func(context.Context) error{
		w.fence, w.readOutcomes, w.readEpochs, w.judge, w.store, w.decide, w.writeEpochs, w.writeOutcomes, w.commit,
	} {
		if err := step(ctx); err != nil {
			r.up.Store(false)
			r.state = state{} // some of it may never have become true
			return penstock.Receipt{}, r.translate("settling", err)
		}
	}
	return w.receipt(), nil
}

// work is one batch under way.
type work struct {
	*Record
	batch  penstock.Batch
	now    time.Time
	marks  []mark // one for each delivery
	epochs map[epochName]*epoch
	origin document.Origin

	claims *claim.Set        // of the documents that its reports want
	units  map[string]string // of points that the batch names first
}

// mark is what becomes of one delivery.
type mark struct {
	settlement penstock.Settlement
	before     bool // the position was settled already
}

func newWork(r *Record, b penstock.Batch) *work {
	now := r.env.Now()
	origin := document.Origin{Node: r.state.node.ID, Now: now}
	return &work{Record: r, batch: b, now: now, origin: origin, marks: make([]mark, len(b.Deliveries)), epochs: map[epochName]*epoch{}}
}

// fence makes sure that nobody else settles for this node, and that the store has what
// it had.
func (w *work) fence(ctx context.Context) error {
	var n node
	if err := w.nodes.FindOne(ctx, w.place()).Decode(&n); err != nil {
		return w.fenced(err)
	}
	return nil
}

// place is the condition that this process settles for the node, and that nothing was
// lost.
func (w *work) place() bson.D {
	return bson.D{{Key: "_id", Value: w.state.node.ID}, {Key: "holder", Value: w.state.holder}, {Key: "changes", Value: w.state.changes}}
}

func (w *work) fenced(err error) error {
	if err != nil && !errors.Is(err, mongo.ErrNoDocuments) {
		return err
	}
	return penstock.Errorf(penstock.Unavailable, "another process settles for node %s, or the database lost what it had committed", w.state.node.ID)
}

// readOutcomes answers the deliveries whose positions are settled already.
func (w *work) readOutcomes(ctx context.Context) error {
	again := false
	for i := range w.batch.Deliveries {
		if w.state.place.Contains(uint64(w.batch.Deliveries[i].Position)) {
			w.marks[i], again = mark{penstock.Stored, true}, true
		}
	}
	if !again {
		return nil
	}
	outcomes := map[penstock.Position]penstock.Settlement{}
	err := command.All(ctx, w.outcomes, bson.D{
		{Key: "node", Value: w.state.node.ID},
		{Key: "position", Value: bson.D{{Key: "$gte", Value: int64(w.batch.First)}, {Key: "$lte", Value: int64(w.batch.Last)}}},
	}, func(o *outcome) { outcomes[penstock.Position(o.Position)] = o.Settlement }, options.Find())
	for i := range w.batch.Deliveries {
		if what := outcomes[w.batch.Deliveries[i].Position]; w.marks[i].before && what != 0 {
			w.marks[i].settlement = what
		}
	}
	return err
}

// writeOutcomes keeps what was not plainly stored.
func (w *work) writeOutcomes(ctx context.Context) error {
	var list []any
	for i, m := range w.marks {
		if at := w.batch.Deliveries[i].Position; !m.before && m.settlement != penstock.Stored {
			list = append(list, outcome{ID: outcomeID(w.state.node.ID, at), Node: w.state.node.ID, Position: int64(at), Settlement: m.settlement})
		}
	}
	if len(list) == 0 {
		return nil
	}
	there, err := command.Insert(ctx, w.outcomes, list)
	if err != nil {
		return err
	}
	var again []mongo.WriteModel // a batch that failed left them
	for _, one := range there {
		if one.Code != command.DuplicateKey {
			return one
		}
		o := list[one.Index].(outcome)
		again = append(again, mongo.NewUpdateOneModel().SetFilter(bson.D{{Key: "_id", Value: o.ID}}).
			SetUpdate(bson.D{{Key: "$set", Value: bson.D{{Key: "settlement", Value: o.Settlement}}}}))
	}
	_, err = w.update(ctx, w.outcomes, again)
	return err
}

func outcomeID(node string, at penstock.Position) string { return document.LooseID(node, at)[1:] }

// update runs the updates, in any order, and returns how many documents they found or
// made.
func (w *work) update(ctx context.Context, c *mongo.Collection, models []mongo.WriteModel) (found int64, err error) {
	for len(models) > 0 {
		n := min(len(models), w.state.updates)
		result, err := c.BulkWrite(ctx, models[:n], options.BulkWrite().SetOrdered(false))
		if err != nil {
			return found, err
		}
		found += result.MatchedCount + result.UpsertedCount
		models = models[n:]
	}
	return found, nil
}

// commit moves the place of the node.
func (w *work) commit(ctx context.Context) error {
	next := w.state.place.Clone()
	next.Add(uint64(w.batch.First), uint64(w.batch.Last))
	result, err := w.nodes.UpdateOne(ctx, w.place(), bson.D{{Key: "$set", Value: bson.D{
		{Key: "settled", Value: spansOf(&next)}, {Key: "last", Value: int64(next.Highest())}, {Key: "life", Value: w.state.node.Life()},
		{Key: "changes", Value: w.state.changes + 1}, {Key: "seen", Value: w.now},
	}}})
	if err != nil || result.MatchedCount != 1 {
		return w.fenced(err)
	}
	w.state.place = next
	w.state.changes++
	return nil
}

// receipt answers what became of the batch, and what came through other nodes.
func (w *work) receipt() penstock.Receipt {
	receipt := penstock.Receipt{Settlements: make([]penstock.Settlement, len(w.marks))}
	for i, m := range w.marks {
		receipt.Settlements[i] = m.settlement
	}
	if len(w.state.seen) > maxCached {
		clear(w.state.seen)
	}
	for name, e := range w.epochs {
		news := false
		for id, version := range e.others {
			news = news || w.state.seen[id] != version
			w.state.seen[id] = version
		}
		if news {
			receipt.Known = append(receipt.Known, penstock.Known{Controller: name.controller, Epoch: name.number, Settled: rangesOf(&e.known), Filled: rangesOf(&e.filled)})
		}
	}
	return receipt
}
