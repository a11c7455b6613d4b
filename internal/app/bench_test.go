package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/logging"
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
		b.Run(load.name, func(b *testing.B) {
			benchmarkNode(b, benchLoad{load.media, load.samples, load.inFlight, settings.Default(), slog.New(slog.DiscardHandler)})
		})
	}
}

// BenchmarkLoggingNode sends one reading at a time, with a line of the log for every
// envelope, which goes to a syslog server over TCP: one that takes it, one that is
// not there, and one that lets it wait for ever.
func BenchmarkLoggingNode(b *testing.B) {
	for _, receiver := range []string{"none", "taking", "away", "blocking"} {
		b.Run(receiver, func(b *testing.B) {
			logs := benchLogs(b, receiver)
			config := settings.Default()
			config.Middleware = pipeline.Default()
			for _, s := range config.Middleware {
				if s.Log != nil {
					s.Log.Every = 1
				}
			}
			benchmarkNode(b, benchLoad{pipeline.JSONType, 1, 32, config, logs.Logger()})
			if receiver != "none" {
				b.ReportMetric(float64(logs.Outputs()[0].Dropped), "dropped")
			}
			logs.Close()
		})
	}
}

func benchLogs(b *testing.B, receiver string) *logging.Logs {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	c := logging.Default()
	c.Format, c.Repeats.Burst = logging.Off, 0
	if receiver != "none" {
		c.Outputs = []logging.Output{{Name: "central", Syslog: &logging.Syslog{To: "tcp://" + ln.Addr().String()}}}
	}
	if receiver == "away" {
		ln.Close()
	}
	var work sync.WaitGroup
	if receiver == "taking" {
		work.Go(func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				work.Go(func() { _, _ = io.Copy(io.Discard, conn) })
			}
		})
	}
	b.Cleanup(func() { ln.Close(); work.Wait() })
	logs, err := logging.Open(c, logging.Options{Program: "penstock"})
	if err != nil {
		b.Fatal(err)
	}
	return logs
}

// benchLoad is what a benchmark sends, and into what.
type benchLoad struct {
	media             string
	samples, inFlight int
	config            settings.Config
	log               *slog.Logger
}

func benchmarkNode(b *testing.B, load benchLoad) {
	media, samples, inFlight, config := load.media, load.samples, load.inFlight, load.config
	dir, err := filepath.Abs(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	n, err := openNode(nodeOptions{config: config, fs: vfs.Default, dir: dir, log: load.log, now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	token, err := n.fleet.EnsureAdmin(nil)
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
	latencies := make([][]time.Duration, inFlight)
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
				sent := time.Now()
				outcomes, err := n.pipeline.Submit(ctx, es).Wait(ctx)
				if err != nil || outcomes[0].Err != nil || outcomes[0].Verdicts[0].Result != penstock.Accepted {
					b.Errorf("%v, %+v", err, outcomes)
					return
				}
				latencies[i] = append(latencies[i], time.Since(sent))
			}
		})
	}
	senders.Wait()
	b.StopTimer()
	runtime.ReadMemStats(&after)
	requests := float64(b.N)/float64(samples) + float64(inFlight)/2 // each sender's last one is a part, or none
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/requests, "allocs/request")
	all := slices.Sorted(slices.Values(slices.Concat(latencies...)))
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
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
