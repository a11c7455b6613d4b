package mongo

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/sink/mongo/command"
)

// node is the document of a gateway: how far its spool is settled.
type node struct {
	ID      string    `bson:"_id"`
	Name    string    `bson:"name"`
	Life    string    `bson:"life"`   // the process that settled last
	Holder  string    `bson:"holder"` // who may settle
	Changes int64     `bson:"changes"`
	Last    int64     `bson:"last"` // the highest position
	Settled []span    `bson:"settled"`
	Seen    time.Time `bson:"seen"`
}

// span is a run of numbers.
type span struct {
	First int64 `bson:"first"`
	Last  int64 `bson:"last"`
}

func spansOf(set *interval.Set) []span {
	out := make([]span, 0, set.Spans())
	for s := range set.All {
		out = append(out, span{int64(s.First), int64(s.Last)})
	}
	return out
}

func addSpans(set *interval.Set, spans []span) {
	for _, s := range spans {
		set.Add(uint64(s.First), uint64(s.Last))
	}
}

// outcome is the document of a position that was not plainly stored.
type outcome struct {
	ID         string              `bson:"_id"` // node and position
	Node       string              `bson:"node"`
	Position   int64               `bson:"position"`
	Settlement penstock.Settlement `bson:"settlement"`
}

// Resume implements [penstock.Record]. It makes the collections' indexes first. What
// a batch that failed may still write is no longer counted afterwards: it moves no
// place whose counter has changed.
func (r *Record) Resume(ctx context.Context) ([]penstock.Settled, error) {
	if err := r.take(ctx); err != nil {
		return nil, err
	}
	defer r.give()
	ctx, cancel := bounded(ctx)
	defer cancel()
	r.state = state{}
	r.up.Store(false)
	next := state{node: r.env.Node(), units: map[string]string{}, seen: map[string]int64{}}
	var holder [16]byte
	if _, err := io.ReadFull(r.env.Rand, holder[:]); err != nil {
		return nil, penstock.Errorf(penstock.Internal, "drawing a random number: %w", err)
	}
	next.holder = hex.EncodeToString(holder[:])
	var err error
	if next.updates, err = r.prepare(ctx); err != nil {
		return nil, r.translate("making the collections", err)
	}
	if err := r.hold(ctx, &next); err != nil {
		return nil, r.translate("finding what is settled", err)
	}
	settled, err := r.runs(ctx, &next)
	if err != nil {
		return nil, r.translate("finding what is settled", err)
	}
	next.ready = true
	r.up.Store(true)
	r.state = next
	return settled, nil
}

// hold makes this process the one that settles for the node, and reads how far it is
// settled.
func (r *Record) hold(ctx context.Context, next *state) error {
	id := next.node.ID
	const attempts = 5 // another process may take it at the same moment
	for range attempts {
		var n node
		err := r.nodes.FindOne(ctx, bson.D{{Key: "_id", Value: id}}).Decode(&n)
		if errors.Is(err, mongo.ErrNoDocuments) {
			_, err = r.nodes.InsertOne(ctx, node{ID: id, Name: next.node.Name, Settled: []span{}, Seen: r.env.Now()})
			if err == nil || mongo.IsDuplicateKeyError(err) {
				continue
			}
		}
		if err != nil {
			return err
		}
		if n.Last > 0 && !next.node.Wrote(n.Life, penstock.Position(n.Last)) {
			return penstock.Errorf(penstock.Conflict,
				"position %d of node %s was settled by another history of its spool: this one is an old copy of its disk, or has a twin", n.Last, id)
		}
		result, err := r.nodes.UpdateOne(ctx, bson.D{{Key: "_id", Value: id}, {Key: "holder", Value: n.Holder}, {Key: "changes", Value: n.Changes}},
			bson.D{{Key: "$set", Value: bson.D{
				{Key: "holder", Value: next.holder}, {Key: "changes", Value: n.Changes + 1}, {Key: "name", Value: next.node.Name}, {Key: "seen", Value: r.env.Now()},
			}}})
		if err != nil {
			return err
		}
		if result.MatchedCount == 1 {
			next.changes = n.Changes + 1
			addSpans(&next.place, n.Settled)
			return nil
		}
	}
	return penstock.Errorf(penstock.Unavailable, "other processes take the place of node %s all the time: two have its data directory, or copies of it", id)
}

// runs returns what is settled, with what was not plainly stored. Outcomes of batches
// that never moved the place are removed.
func (r *Record) runs(ctx context.Context, s *state) ([]penstock.Settled, error) {
	var settled []penstock.Settled
	for run := range s.place.All {
		settled = append(settled, penstock.Settled{
			First: penstock.Position(run.First), Last: penstock.Position(run.Last), Other: map[penstock.Position]penstock.Settlement{},
		})
	}
	run := 0
	var void []string
	err := command.All(ctx, r.outcomes, bson.D{{Key: "node", Value: s.node.ID}}, func(o *outcome) {
		at := penstock.Position(o.Position)
		for run < len(settled) && settled[run].Last < at {
			run++
		}
		if run < len(settled) && settled[run].First <= at {
			settled[run].Other[at] = o.Settlement
		} else {
			void = append(void, o.ID)
		}
	}, options.Find().SetSort(bson.D{{Key: "position", Value: 1}}))
	for len(void) > 0 && err == nil {
		n := min(len(void), command.AtOnce)
		_, err = r.outcomes.DeleteMany(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: void[:n]}}}})
		void = void[n:]
	}
	return settled, err
}

// Forget implements [penstock.Record].
func (r *Record) Forget(ctx context.Context, through penstock.Position) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.give()
	if !r.state.ready {
		return nil // the next call forgets as much
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	id, upTo := r.state.node.ID, bson.D{{Key: "$lte", Value: int64(through)}}
	_, err := r.outcomes.DeleteMany(ctx, bson.D{{Key: "node", Value: id}, {Key: "position", Value: upTo}})
	if err != nil {
		return r.translate("forgetting outcomes", err)
	}
	done := bson.D{{Key: "held.node", Value: id}, {Key: "held.decided.position", Value: upTo}}
	if _, err = r.reports.DeleteMany(ctx, append(done, bson.E{Key: "held.digest", Value: bson.D{{Key: "$exists", Value: true}}})); err == nil {
		_, err = r.reports.UpdateMany(ctx, done, bson.D{{Key: "$unset", Value: bson.D{{Key: "held", Value: ""}}}})
	}
	return r.translate("forgetting decisions", err)
}
