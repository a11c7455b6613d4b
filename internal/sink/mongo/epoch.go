package mongo

import (
	"context"
	"slices"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/sink/mongo/command"
)

// numbers is the document of what a node knows to be settled of an epoch. Only that node
// writes it, and the version makes sure that it is the node's last process. What is
// settled is what any of an epoch's documents has.
type numbers struct {
	ID         string `bson:"_id"` // Of and Node
	Of         string `bson:"of"`  // controller and epoch
	Controller string `bson:"controller"`
	Epoch      int64  `bson:"epoch"`
	Node       string `bson:"node"`
	Version    int64  `bson:"version"`
	Settled    []span `bson:"settled"`
	Filled     []span `bson:"filled"` // refused or declared lost
}

// epochName names an epoch of a controller.
type epochName struct {
	controller string
	number     uint64
}

func (n epochName) String() string { return n.controller + "/" + strconv.FormatUint(n.number, 10) }

// epoch is what is settled of an epoch.
type epoch struct {
	known   interval.Set     // what any node's document has, and then what the batch adds
	own     interval.Set     // what this node's document has
	filled  interval.Set     // as known, of what was refused or declared lost
	refused interval.Set     // as own
	version int64            // of this node's document
	others  map[string]int64 // versions of the others, by _id
}

// readEpochs reads what is settled of the batch's epochs.
func (w *work) readEpochs(ctx context.Context) error {
	byName := map[string]*epoch{}
	var names []string
	want := func(r *penstock.Report) {
		name := epochName{r.Controller, r.Identity.Epoch}
		if r.Identity.Form == penstock.Sequence && badIdentity(r) == nil && w.epochs[name] == nil {
			e := &epoch{others: map[string]int64{}}
			w.epochs[name], byName[name.String()] = e, e
			names = append(names, name.String())
		}
	}
	for i := range w.batch.Deliveries {
		if r := w.batch.Deliveries[i].Report; r != nil && !w.marks[i].before {
			want(r)
		}
	}
	w.batch.Filled = slices.DeleteFunc(slices.Clone(w.batch.Filled), func(f penstock.Filled) bool { return f.Check() != nil })
	for _, f := range w.batch.Filled {
		want(&penstock.Report{Controller: f.Controller, Identity: penstock.SequenceIdentity(f.Epoch, f.First)})
	}
	return command.Each(ctx, w.settled, command.Query[string]{Field: "of", Values: names}, func(d *numbers) {
		e := byName[d.Of]
		addSpans(&e.known, d.Settled)
		addSpans(&e.filled, d.Filled)
		if d.Node != w.state.node.ID {
			e.others[d.ID] = d.Version
			return
		}
		addSpans(&e.own, d.Settled)
		addSpans(&e.refused, d.Filled)
		e.version = d.Version
	})
}

// writeEpochs adds what the batch settles to this node's documents.
func (w *work) writeEpochs(ctx context.Context) error {
	for i := range w.batch.Deliveries {
		r := w.batch.Deliveries[i].Report
		if r == nil || w.marks[i].before || r.Identity.Form != penstock.Sequence {
			continue
		}
		if e := w.epochs[epochName{r.Controller, r.Identity.Epoch}]; e != nil {
			e.known.Add(r.Identity.Seq, r.Identity.Seq)
		}
	}
	for _, f := range w.batch.Filled {
		e := w.epochs[epochName{f.Controller, f.Epoch}]
		if f.Dropped {
			e.known.Add(f.First, f.Last)
		} else {
			e.filled.Add(f.First, f.Last)
		}
	}
	node := w.state.node.ID
	var changed []mongo.WriteModel
	for name, e := range w.epochs {
		if e.own.Equal(&e.known) && e.refused.Equal(&e.filled) {
			continue
		}
		of := name.String()
		// Where the document has another version, making one fails: its _id is taken.
		changed = append(changed, mongo.NewUpdateOneModel().SetUpsert(true).
			SetFilter(bson.D{{Key: "_id", Value: of + "/" + node}, {Key: "version", Value: e.version}}).
			SetUpdate(bson.D{{Key: "$set", Value: bson.D{
				{Key: "of", Value: of}, {Key: "controller", Value: name.controller}, {Key: "epoch", Value: int64(name.number)},
				{Key: "node", Value: node}, {Key: "version", Value: e.version + 1}, {Key: "settled", Value: spansOf(&e.known)}, {Key: "filled", Value: spansOf(&e.filled)},
			}}}))
	}
	found, err := w.update(ctx, w.settled, changed)
	if mongo.IsDuplicateKeyError(err) || err == nil && found != int64(len(changed)) {
		return w.fenced(nil)
	}
	return err
}

// badIdentity says why a report has no identity that can be known again.
func badIdentity(r *penstock.Report) error {
	if err := penstock.CheckControllerName(r.Controller); err != nil {
		return err
	}
	return r.Identity.Check()
}
