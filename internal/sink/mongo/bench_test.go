package mongo_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/mongo"
	"github.com/penstock/penstock/internal/sink/mongo/document"
	"github.com/penstock/penstock/internal/testkit/mongotest"
)

// BenchmarkDelivery settles batches, and in turn inserts the same documents plainly
// into another collection: the ceiling of the server on this machine in the same
// run.
func BenchmarkDelivery(b *testing.B) {
	for _, shape := range []struct{ controllers, samples, each int }{{50, 100, 4}, {50, 10, 20}} {
		b.Run(fmt.Sprintf("controllers=%d/samples=%d/reports=%d", shape.controllers, shape.samples, shape.each), func(b *testing.B) {
			s, err := mongotest.Start(os.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			deliver(b, s, shape.controllers, shape.samples, shape.each)
		})
	}
}

func deliver(b *testing.B, s *mongotest.Server, controllers, samples, each int) {
	r, err := mongo.New(mongo.Config{Server: "mongodb://" + s.Address + "/metering"}, env(node("a")))
	if err == nil {
		defer r.Close()
		_, err = r.Resume(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
	plainly := s.Connect(b, "plain").Collection("reports")
	var ours, plain time.Duration
	rows, first, seq := 0, penstock.Position(1), uint64(1)
	for b.Loop() {
		rs := fleet(controllers, samples, seq, each)
		seq += uint64(each)
		start := time.Now()
		if _, err := r.Settle(b.Context(), batchOf(first, rs...)); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(start)
		first += penstock.Position(len(rs))
		start = time.Now()
		insertPlainly(b, plainly, rs)
		plain += time.Since(start)
		rows += len(rs) * samples
	}
	b.ReportMetric(float64(rows)/ours.Seconds(), "samples/s")
	b.ReportMetric(float64(rows)/plain.Seconds(), "ceiling/s")
	b.ReportMetric(plain.Seconds()/ours.Seconds(), "of-ceiling")
}

// fleet returns reports from so many controllers, so many of each.
func fleet(controllers, samples int, seq uint64, each int) []*penstock.Report {
	var rs []*penstock.Report
	for k := range uint64(each) {
		for c := range controllers {
			at := noon + int64(seq+k)*int64(time.Second)
			r := &penstock.Report{
				Controller: fmt.Sprintf("pump-%05d", c), Identity: penstock.SequenceIdentity(1, seq+k), Fingerprint: penstock.Fingerprint(seq + k),
				ReceivedTime: at, AcceptedTime: at, Samples: make([]penstock.Sample, samples),
			}
			for i := range r.Samples {
				r.Samples[i] = penstock.Sample{Point: fmt.Sprintf("point/%02d", i), SourceTime: at + int64(i), Value: penstock.FloatValue(float64(i) + float64(seq)/8)}
			}
			rs = append(rs, r)
		}
	}
	return rs
}

func insertPlainly(b *testing.B, c *driver.Collection, rs []*penstock.Report) {
	docs := make([]any, len(rs))
	for i, r := range rs {
		d := document.New(document.IdentityOf(r), r, penstock.Position(i+1), document.Origin{Node: "plain", Now: time.Now()})
		d.Samples = document.SamplesOf(r.Samples)
		raw, err := bson.Marshal(d)
		if err != nil {
			b.Fatal(err)
		}
		docs[i] = bson.Raw(raw)
	}
	if _, err := c.InsertMany(b.Context(), docs, options.InsertMany().SetOrdered(false)); err != nil {
		b.Fatal(err)
	}
}
