package app

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/pipeline"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/collector"
)

// A report that its sender asks to be followed is followed through every step and
// into the record.
func TestAReportIsFollowed(t *testing.T) {
	to := collector.Start(t)
	config := settings.Default()
	config.Trace.Endpoint = to.URL
	n, err := openNode(nodeOptions{config: config, fs: vfs.NewMem(), dir: "data", log: slog.New(slog.DiscardHandler), now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	delivered := make(chan error, 1)
	go func() { delivered <- n.sinks.Run(ctx) }()
	token, err := n.fleet.EnsureAdmin(nil)
	if err != nil {
		t.Fatal(err)
	}
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	for seq := range 2 { // of which nobody asks for the second
		body := []byte(`{"controller":"pump-17","epoch":1,"seq":` + strconv.Itoa(seq+1) + `,"samples":[{"point":"flow","time":` + strconv.FormatInt(time.Now().UnixNano(), 10) + `,"value":12.5}]}`)
		e := penstock.Envelope{Source: "https", ContentType: pipeline.JSONType, Credential: penstock.Credential{Token: token}, Body: body, ReceivedTime: time.Now().UnixNano()}
		if seq == 0 {
			e.Properties = penstock.Properties{"traceparent": "00-" + trace + "-00f067aa0ba902b7-01"}
		}
		outcomes, err := n.pipeline.Submit(ctx, []penstock.Envelope{e}).Wait(ctx)
		if err != nil || outcomes[0].Err != nil || outcomes[0].Verdicts[0].Result != penstock.Accepted {
			t.Fatal(outcomes, err)
		}
	}
	testkit.Eventually(t, func() bool { return n.historian.Through() >= 2 }, "the record to have both")
	stop()
	if err := <-delivered; err != nil {
		t.Error(err)
	}
	if err := n.close(); err != nil {
		t.Error(err)
	}
	spans := to.Trace(trace)
	for _, name := range []string{"receive", "authenticate", "decode", "validate", "durable", "settle"} {
		if s, ok := spans[name]; !ok || s.Failed != "" {
			t.Errorf("span %q: %+v, of %d", name, s, len(spans))
		}
	}
	if to.Count("receive") != 1 {
		t.Errorf("%d envelopes were followed", to.Count("receive"))
	}
}
