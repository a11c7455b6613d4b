package apart_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/apart"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/link"
)

// flood is a source that submits as fast as it may, and waits for a window of
// submissions as sources of brokers do.
type flood struct {
	env     source.Env
	submits int // how often
	samples int // of each report
}

// Run implements penstock.Source.
func (s *flood) Run(ctx context.Context, next penstock.Handler) error {
	r := penstock.Report{Controller: "pump-17", Samples: make([]penstock.Sample, s.samples)}
	for i := range r.Samples {
		r.Samples[i] = penstock.Sample{Point: fmt.Sprint("point-", i), SourceTime: 1_700_000_000_000_000_000, Value: penstock.FloatValue(12.5)}
	}
	body := link.AppendReport(nil, &r)
	owner := source.Own(s.env.Name, []string{"pump-17"})
	page := s.env.Evidence.Port(s.env.Name)
	held := make([]penstock.Ticket, 0, 32)
	for range s.submits {
		page.Count(evidence.Received)
		held = append(held, next.Submit(ctx, []penstock.Envelope{{
			Source: s.env.Name, Peer: "opc.tcp://192.0.2.9:4840", ContentType: link.MediaType, Body: body, ReceivedTime: 1, Principal: owner,
		}}))
		if len(held) == cap(held) {
			if _, err := held[0].Wait(ctx); err != nil {
				return err
			}
			held = append(held[:0], held[1:]...)
		}
	}
	for _, t := range held {
		if _, err := t.Wait(ctx); err != nil {
			return err
		}
	}
	s.env.Status.OK()
	<-ctx.Done()
	return nil
}

// taker accepts all.
type taker struct{ verdicts []penstock.Verdict }

func (d taker) Submit(_ context.Context, es []penstock.Envelope) penstock.Ticket {
	outcomes := make([]penstock.Outcome, len(es))
	for i := range outcomes {
		outcomes[i].Verdicts = d.verdicts
	}
	return decided(outcomes)
}

type decided []penstock.Outcome

func (d decided) Wait(context.Context) ([]penstock.Outcome, error) { return d, nil }

// done tells once that a source has done its work.
type done chan struct{}

func (d done) OK()            { close(d) }
func (d done) Failing(string) {}

// cpu returns the processor time of this process and of those that it waited for.
func cpu() time.Duration {
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		_ = syscall.Getrusage(who, &u) // it cannot fail for these
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum
}

// BenchmarkSource submits through the pair of sockets, and without it; what is
// behind takes all. One operation is one report.
func BenchmarkSource(b *testing.B) {
	for _, samples := range []int{1, 100} {
		for _, place := range []string{"inside", "apart"} {
			b.Run(fmt.Sprintf("%s x%d", place, samples), func(b *testing.B) {
				env := sourcetest.Env(evidence.NewBook(time.Now), make(done), nil)
				var s penstock.Source = &flood{env, b.N, samples}
				if place == "apart" {
					config, err := json.Marshal(settings{Submits: b.N, Samples: samples})
					if err != nil {
						b.Fatal(err)
					}
					if s, err = apart.New(apart.Options{Args: []string{childWord}, Config: config}, env); err != nil {
						b.Fatal(err)
					}
				}
				ctx, cancel := context.WithCancel(context.Background())
				go func() {
					<-env.Status.(done)
					cancel()
				}()
				runtime.GC()
				before := cpu()
				b.ResetTimer()
				if err := s.Run(ctx, taker{[]penstock.Verdict{{Controller: "pump-17", Result: penstock.Accepted}}}); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				b.ReportMetric(float64(b.N*samples)/b.Elapsed().Seconds(), "readings/s")
				b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
			})
		}
	}
}
