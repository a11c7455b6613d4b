package tracing_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/testkit/collector"
	"github.com/penstock/penstock/internal/tracing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const parent = "0af7651916cd43dd8448eb211c80319c"

func envelope(traceparent string) *penstock.Envelope {
	e := &penstock.Envelope{Source: "https", Peer: "127.0.0.1:7", Body: []byte("{}"), ReceivedTime: time.Now().UnixNano()}
	if traceparent != "" {
		e.Properties = penstock.Properties{"traceparent": traceparent}
	}
	return e
}

const asked = "00-" + parent + "-b7ad6b7169203331-01"

func report(seq uint64) *penstock.Report {
	return &penstock.Report{Controller: "pump-17", Identity: penstock.SequenceIdentity(1, seq)}
}

func accepted(n int) *penstock.Outcome {
	return &penstock.Outcome{Verdicts: make([]penstock.Verdict, n)}
}

// open returns a tracer and a function that closes it, so that all is exported.
func open(t *testing.T, c tracing.Config, log *slog.Logger) (*tracing.Tracer, func()) {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	tracer, err := tracing.New(tracing.Options{Config: c, Node: "test", Log: log, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return tracer, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := tracer.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheWayOfAReport(t *testing.T) {
	for name, settleFirst := range map[string]bool{"told before it is in the record": false, "in the record before it is told": true} {
		t.Run(name, func(t *testing.T) {
			to := collector.Start(t)
			tracer, done := open(t, tracing.Config{Endpoint: to.URL, Token: config.NewSecret("sesame")}, slog.New(slog.DiscardHandler))
			trail := tracer.Follow(envelope(asked))
			trail.Step("decode", time.Now(), time.Now().Add(time.Millisecond))
			r := report(1)
			trail.Report(r)
			o := accepted(1)
			o.Verdicts[0].Result = penstock.Accepted
			if settleFirst {
				tracer.Settled([]*penstock.Report{report(2), r})
				trail.Durable(o, nil)
			} else {
				trail.Durable(o, nil)
				tracer.Settled([]*penstock.Report{report(2), r})
			}
			trail.Durable(o, nil) // a ticket may be waited for again
			done()
			spans := to.Trace(parent)
			for _, name := range []string{"receive", "decode", "durable", "settle"} {
				if _, ok := spans[name]; !ok {
					t.Errorf("no span %q in %v", name, spans)
				}
			}
			root := spans["receive"]
			if root.Parent != "b7ad6b7169203331" || spans["settle"].Parent != root.ID || spans["decode"].Parent != root.ID {
				t.Errorf("the spans hang together otherwise: %v", spans)
			}
			if root.Attributes["penstock.controller"] != "pump-17" || root.Attributes["penstock.source"] != "https" || root.Events != 1 {
				t.Errorf("the first span says %v with %d events", root.Attributes, root.Events)
			}
			if s := spans["settle"]; s.Attributes["penstock.identity"] != r.Identity.String() || s.Failed != "" || s.Ended.Before(s.Began) {
				t.Errorf("the settlement says %+v", s)
			}
			if to.Count("receive") != 1 || to.Count("settle") != 1 || to.Authorized("Bearer sesame") == 0 {
				t.Errorf("%d and %d spans, %d authorized requests", to.Count("receive"), to.Count("settle"), to.Authorized("Bearer sesame"))
			}
		})
	}
}

func TestWhatIsNotAcceptedIsNotAwaited(t *testing.T) {
	to := collector.Start(t)
	tracer, done := open(t, tracing.Config{Endpoint: to.URL}, slog.New(slog.DiscardHandler))
	refused := tracer.Follow(envelope(asked))
	refused.Report(report(1))
	refused.Durable(&penstock.Outcome{Err: errors.New("no such credential")}, nil)
	duplicate := tracer.Follow(envelope(asked))
	duplicate.Report(report(2))
	o := accepted(1)
	o.Verdicts[0].Result = penstock.Duplicate
	duplicate.Durable(o, nil)
	tracer.Settled([]*penstock.Report{report(1), report(2)})
	done()
	if n := to.Count("settle"); n != 0 {
		t.Errorf("%d spans wait for the record", n)
	}
	if to.Count("receive") != 2 {
		t.Errorf("%d envelopes were followed, not 2", to.Count("receive"))
	}
}

func TestWhoIsFollowed(t *testing.T) {
	to := collector.Start(t)
	for _, test := range []struct {
		name        string
		config      tracing.Config
		traceparent string
		want        int // of 1,000
	}{
		{"nobody", tracing.Config{Most: 10_000}, "", 0},
		{"a share", tracing.Config{Share: 0.05, Most: 10_000}, "", 50},
		{"all", tracing.Config{Share: 1, Most: 10_000}, "", 1000},
		{"who asks", tracing.Config{Most: 10_000}, asked, 1000},
		{"who asks for it not to be", tracing.Config{Most: 10_000}, strings.TrimSuffix(asked, "1") + "0", 0},
		{"who asks for nonsense", tracing.Config{Most: 10_000}, "00-nonsense", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.config.Endpoint = to.URL
			tracer, done := open(t, test.config, slog.New(slog.DiscardHandler))
			defer done()
			got := 0
			for range 1000 {
				if tracer.Follow(envelope(test.traceparent)) != nil {
					got++
				}
			}
			if got != test.want {
				t.Errorf("%d of 1,000 are followed, not %d", got, test.want)
			}
		})
	}
}

// Whoever asks, only so many are followed in a second.
func TestMost(t *testing.T) {
	now := time.Unix(1000, 0)
	tracer, err := tracing.New(tracing.Options{
		Config: tracing.Config{Endpoint: collector.Start(t).URL, Share: 1, Most: 7}, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tracer.Close(t.Context()) }()
	count := func() (n int) {
		for range 100 {
			if tracer.Follow(envelope(asked)) != nil {
				n++
			}
		}
		return n
	}
	first := count()
	now = now.Add(time.Second)
	if second := count(); first != 7 || second != 7 {
		t.Errorf("%d and %d are followed in a second, not 7", first, second)
	}
}

// A collector that refuses harms nobody, and the log says what was lost.
func TestARefusingCollector(t *testing.T) {
	to := collector.Start(t)
	to.Refuse(true)
	var log bytes.Buffer
	tracer, done := open(t, tracing.Config{Endpoint: to.URL}, slog.New(slog.NewTextHandler(&log, nil)))
	trail := tracer.Follow(envelope(asked))
	trail.Durable(accepted(0), nil)
	done()
	if tracer.Lost() != 2 || !strings.Contains(log.String(), "lost_spans=2") {
		t.Errorf("%d spans were lost; the log says %s", tracer.Lost(), &log)
	}
}

func TestMistakes(t *testing.T) {
	for _, test := range []struct {
		config tracing.Config
		says   string
	}{
		{tracing.Config{Share: 0.1}, "share: nobody is told without endpoint"},
		{tracing.Config{Endpoint: "http://127.0.0.1:4318", Share: 2}, "share: 2 is not from 0 to 1"},
		{tracing.Config{Endpoint: "http://127.0.0.1:4318", Most: -1}, "most: -1"},
		{tracing.Config{Endpoint: "http://collector.example:4318"}, "endpoint: "},
		{tracing.Config{Endpoint: "grpc://127.0.0.1"}, "endpoint: "},
	} {
		if err := test.config.Validate(); penstock.CodeOf(err) != penstock.Invalid || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v: %v", test.config, err)
		}
	}
	if tracer, err := tracing.New(tracing.Options{}); tracer != nil || err != nil {
		t.Error("nobody is told, and yet somebody follows")
	}
}
