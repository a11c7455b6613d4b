package postgres_test

import (
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/sinktest"
	"github.com/penstock/penstock/internal/testkit/pgtest"
)

// TestRecord holds the sink against what a record promises.
func TestRecord(t *testing.T) {
	sinktest.RunRecord(t, func(t testing.TB) sinktest.RecordBench {
		b := newBench(t)
		return sinktest.RecordBench{
			Open: func(t testing.TB, node func() sink.Node) penstock.Record {
				return b.open(t, node, b.config())
			},
			Stored: b.stored,
			Break: func(t testing.TB) func() {
				b.proxy.Break()
				return b.proxy.Mend
			},
			CutCommit: func(t testing.TB, arrives bool) {
				cut := pgtest.Before
				if arrives {
					cut = pgtest.After
				}
				b.proxy.CutCommit(cut)
			},
			Save: b.Save,
			Bad:  bad(),
		}
	})
}

// bad returns reports that PostgreSQL cannot keep.
func bad() []*penstock.Report {
	zero := &penstock.Report{Controller: "display", Identity: penstock.SequenceIdentity(1, 1), Samples: []penstock.Sample{
		{Point: "line", SourceTime: 1, Value: penstock.TextValue("before")},
		{Point: "text", SourceTime: 1, Value: penstock.TextValue("a\x00b")},
	}}
	units := &penstock.Report{Controller: "tank", Identity: penstock.SequenceIdentity(1, 1), Samples: []penstock.Sample{
		{Point: "level", SourceTime: 1, Value: penstock.FloatValue(1), Unit: "m"},
		{Point: "level", SourceTime: 2, Value: penstock.FloatValue(1), Unit: "cm"},
	}}
	return []*penstock.Report{zero, units}
}
