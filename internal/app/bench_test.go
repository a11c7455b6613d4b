package app

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/pipeline"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/link"
)

// BenchmarkNode sends through the whole pipeline into a node on a real disk,
// without a network: authentication, validation, ledger, sealing, fsync, and the
// delivery into the historian beside it. One operation is one reading; what a
// request allocates stands beside it.
func BenchmarkNode(b *testing.B) {
	for _, load := range []struct {
		name     string
		media    string
		samples  int
		inFlight int
	}{
		{"json x1", pipeline.JSONType, 1, 32},
		{"json x100", pipeline.JSONType, 100, 32},
		{"binary x100", link.MediaType, 100, 32},
	} {
		b.Run(load.name, func(b *testing.B) { benchmarkNode(b, load.media, load.samples, load.inFlight) })
	}
}

func benchmarkNode(b *testing.B, media string, samples, inFlight int) {
	config := DefaultConfig()
	dir, err := filepath.Abs(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	n, err := openNode(nodeOptions{config: config, fs: vfs.Default, dir: dir, log: slog.New(slog.DiscardHandler), now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	token, err := n.fleet.EnsureAdmin()
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var delivery sync.WaitGroup
	delivery.Go(func() {
		if err := n.sinks.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	var left atomic.Int64
	left.Store(int64(b.N))
	var senders sync.WaitGroup
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	for i := range inFlight {
		senders.Go(func() {
			r := penstock.Report{Controller: fmt.Sprintf("pump-%d", i), Samples: make([]penstock.Sample, samples)}
			es := make([]penstock.Envelope, 1)
			for seq := uint64(1); left.Add(-int64(samples)) > -int64(samples); seq++ {
				r.Identity = penstock.SequenceIdentity(1, seq)
				es[0] = penstock.Envelope{
					Source: "https", ContentType: media, Credential: penstock.Credential{Token: token},
					Body: benchBody(es[0].Body[:0], media, &r), ReceivedTime: time.Now().UnixNano(),
				}
				outcomes, err := n.pipeline.Submit(ctx, es).Wait(ctx)
				if err != nil || outcomes[0].Err != nil || outcomes[0].Verdicts[0].Result != penstock.Accepted {
					b.Errorf("%v, %+v", err, outcomes)
					return
				}
			}
		})
	}
	senders.Wait()
	b.StopTimer()
	runtime.ReadMemStats(&after)
	requests := float64(b.N)/float64(samples) + float64(inFlight)/2 // each sender's last one is a part, or none
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/requests, "allocs/request")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/requests, "B/request")
	settle, cancel := context.WithTimeout(ctx, time.Minute)
	if err := n.historian.Wait(settle, n.spool.Durable()); err != nil {
		b.Error(err)
	}
	cancel()
	stop()
	delivery.Wait()
	if err := n.close(); err != nil {
		b.Error(err)
	}
}

// benchBody fills a report as a controller would send it, with 24 points at one
// time, again and again until there are enough samples, and appends it to dst.
func benchBody(dst []byte, media string, r *penstock.Report) []byte {
	const points = 24
	seq, now := r.Identity.Seq, time.Now().UnixNano()
	for i := range r.Samples {
		r.Samples[i] = penstock.Sample{
			Point: pointNames[i%points], SourceTime: now + int64(i/points)*int64(time.Millisecond),
			Value: penstock.FloatValue(float64(seq%1000)/10 + float64(i)),
		}
	}
	if media == link.MediaType {
		return link.AppendReport(dst, r)
	}
	body, err := reportjson.AppendReport(dst, r)
	if err != nil {
		panic(err) // the report is whole
	}
	return body
}

var pointNames = func() (names [24]string) {
	for i := range names {
		names[i] = fmt.Sprintf("signal-%02d", i)
	}
	return names
}()
