package api_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api"
)

// fakeSinks are two sinks, one with a quarantine.
type fakeSinks struct {
	mu   sync.Mutex
	done []string
}

func (f *fakeSinks) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = append(f.done, fmt.Sprintf(format, args...))
}

func (*fakeSinks) Sinks() []api.SinkInfo {
	return []api.SinkInfo{
		{Name: "historian", Main: true, Record: true, State: "delivering", Since: "2026-11-22T06:00:00Z", Through: 17, Books: api.SinkBooks{Delivered: 16}},
		{
			Name: "broker", State: "down", Since: "2026-11-22T05:00:00Z", Why: "connection refused", Failures: 9, Next: "2026-11-22T06:00:15Z", Through: 3, Gaps: 1,
			Backlog: api.SinkBacklog{Reports: 14, Bytes: 7168, Seconds: 3600}, Books: api.SinkBooks{Delivered: 2, Quarantined: 1, Discarded: 1, Dropped: 5, Refed: 1},
			Alarm: "the spool is full",
		},
	}
}

func known(name string) error {
	if name != "broker" && name != "historian" {
		return penstock.Errorf(penstock.NotFound, "there is no sink %.64q", name)
	}
	return nil
}

func (f *fakeSinks) Pause(name string) error  { f.note("pause %s", name); return known(name) }
func (f *fakeSinks) Resume(name string) error { f.note("resume %s", name); return known(name) }

func (f *fakeSinks) Replay(name string, since time.Time) (uint64, error) {
	f.note("replay %s %s", name, since.Format(time.RFC3339))
	return 4, known(name)
}

func (*fakeSinks) Quarantined(_ context.Context, sink string, first uint64, limit int) ([]api.Held, error) {
	at := startOfTest.UnixNano()
	all := []api.Held{
		{Number: 2, Reason: "the unit is not that of the point", By: "historian", Tries: 1, First: at, Last: at, Report: &penstock.Report{
			Controller: "pump-17", Identity: penstock.SequenceIdentity(1, 7), Source: "https", ReceivedTime: at, AcceptedTime: at,
			Samples: []penstock.Sample{{Point: "flow", SourceTime: at, Value: penstock.FloatValue(12.5), Unit: "bar"}},
		}},
		{Number: 5, Reason: "held", By: "rule", Tries: 2, First: at, Last: at + 1e9, Report: &penstock.Report{Controller: "tank-1", Identity: penstock.KeyIdentity("k")}},
	}
	all = slices.DeleteFunc(all, func(h api.Held) bool { return h.Number < first })
	return all[:min(len(all), limit)], known(sink)
}

func (f *fakeSinks) Decide(_ context.Context, sink string, number uint64, verb penstock.Verb) (bool, error) {
	f.note("decide %s %d %d", sink, number, verb)
	return sink == "broker", nil
}

func TestDecisionsReachTheirSink(t *testing.T) {
	g := start(t)
	c := g.client(true)
	for _, path := range []string{"/v1/sinks/broker/pause", "/v1/sinks/broker/resume", "/v1/quarantine/broker/2/retry", "/v1/quarantine/historian/5/discard"} {
		if r := g.do(c, ask{method: "POST", path: path, token: "operator"}); r.status >= 300 {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	want := "pause broker, resume broker, decide broker 2 1, decide historian 5 2"
	if got := strings.Join(g.sinks.done, ", "); got != want {
		t.Errorf("done was %s, want %s", got, want)
	}
}
