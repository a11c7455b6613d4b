package sinktest_test

import (
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/sinktest"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func recordBench(wrap func(penstock.Record) penstock.Record) func(testing.TB) sinktest.RecordBench {
	return func(testing.TB) sinktest.RecordBench {
		s := sinktest.NewStore()
		s.Refuse(func(r *penstock.Report) string {
			if r.Controller == "bad" {
				return "the store cannot hold it"
			}
			return ""
		})
		return sinktest.RecordBench{
			Open:      func(_ testing.TB, node func() sink.Node) penstock.Record { return wrap(s.Open(node)) },
			Stored:    func(testing.TB) []sinktest.Sample { return s.Stored() },
			Break:     func(testing.TB) func() { return s.Break() },
			CutCommit: func(_ testing.TB, arrives bool) { s.CutCommit(arrives) },
			Save:      func(testing.TB) func() { return s.Save() },
			Bad: []*penstock.Report{
				{Controller: "bad", Identity: penstock.SequenceIdentity(1, 1), Samples: []penstock.Sample{{Point: "p", SourceTime: 1, Value: penstock.BoolValue(true)}}},
				{Controller: "bad", Identity: penstock.SequenceIdentity(1, 2)},
			},
		}
	}
}

func sinkBench(wrap func(penstock.Sink) penstock.Sink) func(testing.TB) sinktest.SinkBench {
	return func(testing.TB) sinktest.SinkBench {
		d := sinktest.NewDestination()
		var refused, nacked bool
		d.Refuse(func(r *penstock.Report) error {
			switch {
			case refused && r.Controller == "refused":
				return penstock.Errorf(penstock.Invalid, "the destination does not take it")
			case nacked && r.Controller == "nacked":
				return penstock.Errorf(penstock.Unavailable, "not now")
			}
			return nil
		})
		return sinktest.SinkBench{
			Open:             func(testing.TB) penstock.Sink { return wrap(d.Open()) },
			Received:         func(testing.TB) []*penstock.Report { return d.Received() },
			Once:             true,
			Break:            func(testing.TB) func() { return d.Break() },
			LoseConfirmation: func(testing.TB) { d.LoseConfirmation() },
			Refuse:           func(testing.TB) { refused = true },
			Nack:             func(testing.TB) func() { nacked = true; return func() { nacked = false } },
			Stall:            func(testing.TB) func() { return d.Stall() },
		}
	}
}

func TestTheReferencesConform(t *testing.T) {
	t.Run("record", func(t *testing.T) {
		sinktest.RunRecord(t, recordBench(func(r penstock.Record) penstock.Record { return r }))
	})
	t.Run("sink", func(t *testing.T) {
		sinktest.RunSink(t, sinkBench(func(s penstock.Sink) penstock.Sink { return s }))
	})
}
