package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/penstock/penstock"
)

// holder tells this process from all others that want leases, those of a twin of
// its node too.
func (r *Record) holder() string {
	node := r.env.Node()
	return node.ID + "/" + node.Life()
}

// mostBefore is how many earlier processes of a node are remembered as such.
const mostBefore = 16

// before returns what the processes of the node before this one held leases as.
func (r *Record) before() bson.A {
	node := r.env.Node()
	lives := node.Lives[:max(0, len(node.Lives)-1)]
	holders := bson.A{}
	for _, life := range lives[max(0, len(lives)-mostBefore):] {
		holders = append(holders, node.ID+"/"+life.ID)
	}
	return holders
}

// Lease implements [sink.Leaser]. What counts is the clock of the server that takes
// writes, as it tells the time before the lease is written: the time between shortens
// nobody's lease. An earlier process of this node gives way at once: it has ended, or
// this one would not have its disk. The document's token grows whenever the lease
// changes hands.
func (r *Record) Lease(ctx context.Context, name string, ttl time.Duration) (held bool, err error) {
	if ttl < time.Second || name == "" {
		return false, penstock.Errorf(penstock.Invalid, "a lease needs a name and at least a second, this is %q for %v", name, ttl)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	held, err = r.lease(ctx, name, ttl)
	return held && err == nil, r.translate("taking the lease of "+name, err)
}

func (r *Record) lease(ctx context.Context, name string, ttl time.Duration) (bool, error) {
	now, err := r.serverTime(ctx)
	if err != nil {
		return false, err
	}
	until := bson.E{Key: "until", Value: now.Add(ttl)}
	mine := bson.E{Key: "holder", Value: r.holder()}
	result, err := r.leases.UpdateOne(ctx, bson.D{{Key: "_id", Value: name}, mine}, bson.D{{Key: "$set", Value: bson.D{until}}})
	if err != nil || result.MatchedCount == 1 {
		return err == nil, err
	}
	free := bson.A{bson.D{{Key: "until", Value: bson.D{{Key: "$lte", Value: now}}}}, bson.D{{Key: "holder", Value: bson.D{{Key: "$in", Value: r.before()}}}}}
	result, err = r.leases.UpdateOne(ctx, bson.D{{Key: "_id", Value: name}, {Key: "$or", Value: free}},
		bson.D{{Key: "$set", Value: bson.D{until, mine}}, {Key: "$inc", Value: bson.D{{Key: "token", Value: int64(1)}}}})
	if err != nil || result.MatchedCount == 1 {
		return err == nil, err
	}
	_, err = r.leases.InsertOne(ctx, bson.D{{Key: "_id", Value: name}, mine, until, {Key: "token", Value: int64(1)}})
	if mongo.IsDuplicateKeyError(err) {
		return false, nil // another process has it
	}
	return err == nil, err
}

// serverTime returns the time of the server that takes writes.
func (r *Record) serverTime(ctx context.Context) (time.Time, error) {
	var hello struct {
		Time time.Time `bson:"localTime"`
	}
	err := r.leases.Database().RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello)
	return hello.Time, err
}

// Release implements [sink.Leaser].
func (r *Record) Release(ctx context.Context, name string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := r.leases.UpdateOne(ctx, bson.D{{Key: "_id", Value: name}, {Key: "holder", Value: r.holder()}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "until", Value: time.Unix(0, 0)}, {Key: "holder", Value: ""}}}})
	return r.translate("giving up the lease of "+name, err)
}
