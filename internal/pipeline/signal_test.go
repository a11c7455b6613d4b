package pipeline_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/pipeline"
)

// durable is an intake whose ticket resolves when it is told to, with the results
// that it was told.
type durable struct {
	results []penstock.Result // of the reports, in their order
	ready   chan struct{}
	out     []penstock.Outcome
}

func (d *durable) Admit(js []intake.Judged) penstock.Ticket {
	d.out = nil
	next := 0
	for _, j := range js {
		o := penstock.Outcome{Err: j.Err}
		for _, item := range j.Reports {
			v := penstock.Verdict{Controller: item.Report.Controller, Result: penstock.Rejected}
			if item.Reason == "" {
				v.Result = d.results[next]
				next++
			}
			o.Verdicts = append(o.Verdicts, v)
		}
		d.out = append(d.out, o)
	}
	return d
}

func (d *durable) Wait(ctx context.Context) ([]penstock.Outcome, error) {
	select {
	case <-d.ready:
		return d.out, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// What a modem tells stands on its controller's page once the report is durable,
// once, and only when it was accepted.
func TestSignalsAreNotedWhenDurable(t *testing.T) {
	low := -200.0
	f, err := fleet.Open(noTable{}, fleet.Options{Now: time.Now, Rand: rand.Reader, Declared: []fleet.Declaration{
		{Controller: "*", Point: "modem", Signal: "rssi", Min: &low},
	}})
	if err != nil {
		t.Fatal(err)
	}
	book := evidence.NewBook(time.Now)
	in := &durable{}
	p, err := pipeline.New(pipeline.Default(), pipeline.Deps{
		Fleet: f, Intake: in, Formats: formats(), Evidence: book, Now: func() time.Time { return time.Unix(0, noon) },
	})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{fleet: f}
	b.token = b.grant(t, "pump-*")
	seq := uint64(0)
	of := func(controller, point string, v float64) *penstock.Report {
		seq++
		return report(controller, seq, sample(point, penstock.FloatValue(v)))
	}
	told := func() string {
		var all []string
		for _, s := range book.Controllers() {
			page, _ := book.FindController(s.Name)
			for _, r := range page.Readings(evidence.RSSI) {
				all = append(all, fmt.Sprint(s.Name, r.Value))
			}
		}
		return strings.Join(all, " ")
	}
	for _, c := range []struct {
		name      string
		envelopes []penstock.Envelope
		results   []penstock.Result
		want      string // told from now on
	}{
		{"the first of its point", []penstock.Envelope{b.envelope(of("pump-1", "modem", -70))}, []penstock.Result{penstock.Accepted}, "pump-1-70"},
		{"another one", []penstock.Envelope{b.envelope(of("pump-1", "modem", -71))}, []penstock.Result{penstock.Accepted}, "pump-1-70 pump-1-71"},
		{"a duplicate", []penstock.Envelope{b.envelope(of("pump-1", "modem", -72))}, []penstock.Result{penstock.Duplicate}, "pump-1-70 pump-1-71"},
		{"other points", []penstock.Envelope{b.envelope(of("pump-1", "flow", 5))}, []penstock.Result{penstock.Accepted}, "pump-1-70 pump-1-71"},
		{"one that the pipeline refuses", []penstock.Envelope{b.envelope(of("pump-1", "modem", -300))}, nil, "pump-1-70 pump-1-71"},
		{"among others",
			[]penstock.Envelope{
				b.envelope(of("pump-1", "flow", 5), of("pump-1", "modem", -301), of("pump-2", "modem", -80), of("pump-2", "modem", -81)),
				{ContentType: "nobody"}, b.envelope(of("pump-2", "modem", -82)),
			},
			[]penstock.Result{penstock.Accepted, penstock.Rejected, penstock.Accepted, penstock.Accepted},
			"pump-1-70 pump-1-71 pump-2-81 pump-2-82"},
	} {
		before := told()
		in.results, in.ready = c.results, make(chan struct{})
		ticket := p.Submit(t.Context(), c.envelopes)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := ticket.Wait(ended); !errors.Is(err, context.Canceled) || told() != before {
			t.Errorf("%s: before it is durable: %v, told %q", c.name, err, told())
		}
		close(in.ready)
		for range 2 {
			if out, err := ticket.Wait(t.Context()); err != nil || !slices.EqualFunc(out, in.out, func(a, b penstock.Outcome) bool { return len(a.Verdicts) == len(b.Verdicts) }) {
				t.Errorf("%s: %v, %v", c.name, out, err)
			}
		}
		if got := told(); got != c.want {
			t.Errorf("%s: told %q, want %q", c.name, got, c.want)
		}
	}
}
