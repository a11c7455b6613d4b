package mongo

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/mongo/command"
)

// Record keeps reports in a MongoDB database. It implements [penstock.Record]. It is
// safe for concurrent use: Resume, Settle and Forget wait for each other.
type Record struct {
	env      sink.Env
	settings settings
	client   *mongo.Client
	reports  *mongo.Collection
	settled  *mongo.Collection // numbers, a document for each epoch and node
	points   *mongo.Collection // units
	outcomes *mongo.Collection // what was not plainly stored
	nodes    *mongo.Collection // places
	leases   *mongo.Collection

	stop   context.CancelFunc
	closed <-chan struct{}
	upkeep sync.WaitGroup
	up     atomic.Bool // the last batch was settled

	turn  chan struct{} // held by who settles; the rest of the struct is theirs
	state state
}

var (
	_ penstock.Record = (*Record)(nil)
	_ sink.Quarantine = (*Record)(nil)
	_ sink.Knower     = (*Record)(nil)
	_ sink.Leaser     = (*Record)(nil)
)

// state is what one process knows between its batches. It is true as long as none
// failed; then it is thrown away, and Resume makes a new one.
type state struct {
	ready   bool
	node    sink.Node
	holder  string       // this call of Resume
	changes int64        // of the node's document: another value means that somebody else wrote it
	place   interval.Set // positions that are settled
	updates int          // that one command may have
	units   map[string]string
	seen    map[string]int64 // versions of the settled sets of other nodes that the node was told of
}

// maxCached bounds the units and versions that are remembered; above it they are
// forgotten and read again.
const maxCached = 1 << 20

// New returns the record of the settings. It connects when it is first used. The
// error has code [penstock.Invalid].
func New(c Config, env sink.Env) (*Record, error) {
	s, err := newSettings(c)
	if err != nil {
		return nil, err
	}
	o, err := s.client()
	if err != nil {
		return nil, err
	}
	client, err := mongo.Connect(o)
	if err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "MongoDB: the settings of the connection are refused: %w", err)
	}
	db := client.Database(s.database)
	ctx, stop := context.WithCancel(context.Background())
	r := &Record{
		env: env, settings: s, client: client,
		reports: db.Collection("reports"), settled: db.Collection("settled"), points: db.Collection("points"),
		outcomes: db.Collection("outcomes"), nodes: db.Collection("nodes"), leases: db.Collection("leases"),
		stop: stop, closed: ctx.Done(), turn: make(chan struct{}, 1),
	}
	if s.Retention > 0 {
		r.upkeep.Go(func() { r.keep(ctx) })
	}
	return r, nil
}

// closing is how long connections may take to end.
const closing = 5 * time.Second

// Close implements [penstock.Record].
func (r *Record) Close() error {
	r.stop()
	r.upkeep.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	_ = r.client.Disconnect(ctx) // it is disconnected already, or a call that is under way keeps its connection
	return nil
}

// take waits for the turn to settle; the caller gives it back.
func (r *Record) take(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Record) give() { <-r.turn }

// patience is how long a call may take whose caller sets no limit.
const patience = 2 * time.Minute

// bounded returns the context with a deadline.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, set := ctx.Deadline(); set {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, patience)
}

// The retention is seen to this often; and this soon again where that failed, or where
// nothing is settled.
const (
	upkeepEvery = time.Hour
	upkeepRetry = time.Minute
)

// keep drops what is older than the retention until ctx ends, while delivery goes well.
func (r *Record) keep(ctx context.Context) {
	timer := time.NewTimer(upkeepRetry)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		next := upkeepRetry
		if r.up.Load() {
			if err := r.Upkeep(ctx); err == nil {
				next = upkeepEvery
			} else if ctx.Err() == nil {
				r.env.Log.Warn("old reports were not dropped; it is tried again", "error", err, "retry_in", next.String())
			}
		}
		timer.Reset(next)
	}
}

// Upkeep drops the reports that are older than the retention, other than those in
// quarantine. The record does so by itself every hour.
func (r *Record) Upkeep(ctx context.Context) error {
	if r.settings.Retention == 0 {
		return nil
	}
	before := r.env.Now().Add(-r.settings.Retention.Std())
	filter := bson.D{{Key: "newest", Value: bson.D{{Key: "$lt", Value: before}}}, {Key: "held", Value: command.Absent()}}
	dropped := int64(0)
	for {
		var ids []string
		err := command.All(ctx, r.reports, filter, func(d *struct {
			ID string `bson:"_id"`
		}) {
			ids = append(ids, d.ID)
		}, options.Find().SetLimit(command.AtOnce).SetProjection(bson.D{{Key: "_id", Value: 1}}))
		if err != nil || len(ids) == 0 {
			if dropped > 0 {
				r.env.Log.Info("reports older than the retention were dropped", "reports", dropped)
			}
			return r.translate("dropping old reports", err)
		}
		result, err := r.reports.DeleteMany(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}, {Key: "held", Value: command.Absent()}})
		if err != nil {
			return r.translate("dropping old reports", err)
		}
		dropped += result.DeletedCount
	}
}

// log returns the log with the name of the sink.
func (r *Record) log() *slog.Logger { return r.env.Log.With("sink", r.env.Name) }
