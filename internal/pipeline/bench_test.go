package pipeline_test

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/fleet/credential"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/pipeline"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/link"
)

// sink is an intake and an observer that cost next to nothing.
type sink struct {
	refused                int
	authenticate, validate time.Duration
}

func (s *sink) Admit(js []intake.Judged) penstock.Ticket {
	for i := range js {
		if js[i].Err != nil || js[i].Reports[0].Reason != "" {
			s.refused++
		}
	}
	return ticket{}
}

func (s *sink) Step(name string) func(time.Duration, int) {
	switch name {
	case "authenticate":
		return func(d time.Duration, _ int) { s.authenticate += d }
	case "validate":
		return func(d time.Duration, _ int) { s.validate += d }
	}
	return func(time.Duration, int) {}
}

// readings returns reports of samples of 24 points.
func readings(reports, samples int) []*penstock.Report {
	var all []*penstock.Report
	for i := range reports {
		r := report("pump-1", uint64(i+1))
		for n := range samples {
			s := sample(fmt.Sprintf("station/pump-%d/flow", n%24), penstock.FloatValue(float64(n)*1.25))
			s.SourceTime += int64(n) * int64(time.Millisecond)
			r.Samples = append(r.Samples, s)
		}
		all = append(all, r)
	}
	return all
}

func BenchmarkSubmit(b *testing.B) {
	for _, shape := range []struct{ reports, samples int }{{1, 1}, {1, 100}, {100, 1}} {
		reports := readings(shape.reports, shape.samples)
		text, binary := []byte("["), []byte(nil)
		for i, r := range reports {
			if i > 0 {
				text = append(text, ',')
			}
			var err error
			if text, err = reportjson.AppendReport(text, r); err != nil {
				b.Fatal(err)
			}
			binary = link.AppendReport(binary, r)
		}
		for _, format := range []struct {
			name, mediaType string
			body            []byte
		}{{"json", pipeline.JSONType, append(text, ']')}, {"binary", link.MediaType, binary}} {
			b.Run(fmt.Sprintf("%dx%d/%s", shape.reports, shape.samples, format.name), func(b *testing.B) {
				submit(b, penstock.Envelope{
					Source: "https", Peer: "192.0.2.7:4711", ContentType: format.mediaType, Body: format.body, ReceivedTime: noon,
				}, shape.reports*shape.samples)
			})
		}
	}
}

func submit(b *testing.B, e penstock.Envelope, samples int) {
	f, err := fleet.Open(noTable{}, fleet.Options{Now: time.Now, Rand: rand.Reader})
	if err != nil {
		b.Fatal(err)
	}
	e.Credential.Token, _, err = f.Add(credential.Grant{Label: "bench", Role: penstock.RoleController, Scope: penstock.Scope{"pump-*"}})
	if err != nil {
		b.Fatal(err)
	}
	cfg := with(func(s *pipeline.Step) {
		if s.Limit != nil {
			s.Limit.Shared = pipeline.Rates{Reports: 1 << 30, Bytes: 1 << 30, Burst: pipeline.Span(time.Minute)}
		}
	})
	into := &sink{}
	p, err := pipeline.New(cfg, pipeline.Deps{Fleet: f, Intake: into, Observer: into, Formats: pipeline.StandardFormats(), Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	es := []penstock.Envelope{e}
	b.ReportAllocs()
	for b.Loop() {
		p.Submit(b.Context(), es)
	}
	if into.refused > 0 {
		b.Fatalf("%d were refused", into.refused)
	}
	b.ReportMetric(float64(into.authenticate.Nanoseconds())/float64(b.N), "ns-authenticate/op")
	b.ReportMetric(float64(into.validate.Nanoseconds())/float64(b.N), "ns-validate/op")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(samples), "ns/sample")
}
