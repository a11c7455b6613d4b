package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/mongo/command"
	"github.com/penstock/penstock/internal/sink/mongo/document"
)

// Known implements [sink.Knower].
func (r *Record) Known(ctx context.Context, controller string) (known []penstock.Known, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var sets []*[2]interval.Set // settled, and refused
	err = command.All(ctx, r.settled, bson.D{{Key: "controller", Value: controller}}, func(d *numbers) {
		if n := len(known); n == 0 || known[n-1].Epoch != uint64(d.Epoch) {
			known, sets = append(known, penstock.Known{Controller: controller, Epoch: uint64(d.Epoch)}), append(sets, &[2]interval.Set{})
		}
		addSpans(&sets[len(sets)-1][0], d.Settled)
		addSpans(&sets[len(sets)-1][1], d.Filled)
	}, options.Find().SetSort(bson.D{{Key: "epoch", Value: 1}}))
	for i := range known {
		known[i].Settled, known[i].Filled = rangesOf(&sets[i][0]), rangesOf(&sets[i][1])
	}
	return known, r.translate("reading what is settled", err)
}

func rangesOf(set *interval.Set) []penstock.SeqRange {
	out := make([]penstock.SeqRange, 0, set.Spans())
	for s := range set.All {
		out = append(out, penstock.SeqRange(s))
	}
	return out
}

// Quarantined implements [sink.Quarantine].
func (r *Record) Quarantined(ctx context.Context, first uint64, limit int) (list []sink.Held, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	filter := bson.D{
		{Key: "held.node", Value: r.env.Node().ID}, {Key: "held.number", Value: bson.D{{Key: "$gte", Value: int64(first)}}},
		{Key: "held.decided", Value: command.Absent()},
	}
	err = command.All(ctx, r.reports, filter, func(d *document.Report) {
		h := sink.Held{
			Number: uint64(d.Held.Number), Reason: d.Held.Reason, By: d.Held.Cause, Tries: d.Held.Tries, First: d.Held.First, Last: d.Held.Last, Report: d.Decode(),
		}
		if h.By == document.ByRecord {
			h.By = r.env.Name
		}
		if h.Report == nil {
			h.Report = &penstock.Report{Controller: d.Controller}
		}
		list = append(list, h)
	}, options.Find().SetSort(bson.D{{Key: "held.number", Value: 1}}).SetLimit(int64(limit)))
	return list, r.translate("reading the quarantine", err)
}
