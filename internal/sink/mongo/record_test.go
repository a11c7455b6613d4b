package mongo_test

import (
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/sinktest"
	"github.com/penstock/penstock/internal/testkit/mongotest"
)

// commit is the command that commits a batch.
var commit = mongotest.Command{Name: "update", Collection: "nodes"}

// TestRecord holds the sink against what a record promises.
func TestRecord(t *testing.T) {
	sinktest.RunRecord(t, func(t testing.TB) sinktest.RecordBench {
		b := newBench(t)
		return sinktest.RecordBench{
			Open:   func(t testing.TB, node func() sink.Node) penstock.Record { return b.open(t, node, b.config()) },
			Stored: b.stored,
			Break: func(testing.TB) func() {
				b.proxy.Break()
				return b.proxy.Mend
			},
			CutCommit: func(_ testing.TB, arrives bool) {
				cut := mongotest.Before
				if arrives {
					cut = mongotest.After
				}
				b.proxy.CutNext(commit, cut)
			},
			Save: func(t testing.TB) func() { return mongotest.Save(t, b.db) },
			Bad:  bad(),
		}
	})
}

// bad returns reports that no record of many nodes can keep.
func bad() []*penstock.Report {
	units := &penstock.Report{Controller: "tank", Identity: penstock.SequenceIdentity(1, 1), Samples: []penstock.Sample{
		{Point: "level", SourceTime: 1, Value: penstock.FloatValue(1), Unit: "m"},
		{Point: "level", SourceTime: 2, Value: penstock.FloatValue(1), Unit: "cm"},
	}}
	natural := &penstock.Report{Controller: "well", Samples: units.Samples}
	return []*penstock.Report{units, natural}
}
