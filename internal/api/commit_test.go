package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api"
)

func startWithRecord(t *testing.T, change ...func(*api.Options)) (*gateway, *fakeRecord) {
	t.Helper()
	r := &fakeRecord{settled: make(chan struct{}), asked: make(chan []penstock.Verdict, 8)}
	return start(t, append(change, func(o *api.Options) { o.Ledger = fakeLedger{r} })...), r
}

// With wait=committed the answer comes when the record has the reports.
func TestTheAnswerWaitsForTheRecord(t *testing.T) {
	both(t, func(t *testing.T, h2 bool) {
		g, record := startWithRecord(t)
		answered := make(chan reply)
		go func() {
			answered <- g.sendTo(g.client(h2), "/v1/reports?wait=committed", report("a", 1, 1, 1), "Prefer", "respond-async, wait=20")
		}()
		if vs := <-record.asked; len(vs) != 1 || vs[0].Controller != "a" || vs[0].Result != penstock.Accepted {
			t.Errorf("the record is asked for %+v", vs)
		}
		select {
		case r := <-answered:
			t.Fatalf("answered before the record has it: %v", r)
		case <-time.After(50 * time.Millisecond):
		}
		close(record.settled)
		want := `{"results":[{"controller":"a","epoch":1,"seq":1,"result":"accepted","committed":{"epoch":1,"seq":0}}],"committed":true}` + "\n"
		if r := <-answered; r.status != 200 || r.body != want || r.header.Get("Preference-Applied") != "wait=20" {
			t.Errorf("%d %s %v", r.status, r.body, r.header)
		}
		// What is refused is no news for the record, and says so.
		refused := g.sendTo(g.client(h2), "/v1/reports?wait=committed", report("a", 1, 1, 2))
		if refused.status != 207 || !strings.HasSuffix(refused.body, `],"committed":true}`+"\n") {
			t.Errorf("%d %s", refused.status, refused.body)
		}
	})
}

// What the record has not settled in time, or what nobody waits for because too many
// do, is accepted and nothing more.
func TestTheRecordIsNotWaitedForForEver(t *testing.T) {
	g, record := startWithRecord(t, func(o *api.Options) {
		o.Limits.Ingest.Commit, o.Limits.Ingest.Waiting = time.Minute, 1
	})
	c := g.client(true)
	const path = "/v1/reports?wait=committed"
	for _, prefer := range []string{"wait=0", `wait="0"; x=1, wait=9`} {
		r := g.sendTo(c, path, report("a", 1, 1, 1), "Prefer", prefer)
		if r.status != 202 || !strings.Contains(r.body, `"committed":false}`) || r.header.Get("Preference-Applied") != "wait=0" {
			t.Errorf("%s: %d %s", prefer, r.status, r.body)
		}
		<-record.asked
	}
	first := make(chan reply)
	go func() { first <- g.sendTo(c, path, report("a", 1, 2, 1), "Prefer", "wait=x") }()
	<-record.asked
	if r := g.sendTo(c, path, report("a", 1, 3, 1)); r.status != 202 || len(record.asked) > 0 {
		t.Errorf("a second one beside the only one that may wait: %d %s", r.status, r.body)
	}
	close(record.settled)
	if r := <-first; r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
	for path, media := range map[string]string{"/v1/reports?wait=stored": "application/json", "/v1/reports?wait=committed": "application/x-ndjson"} {
		if r := g.sendTo(c, path, report("a", 1, 9, 1), "Content-Type", media); r.status != 400 || !strings.Contains(r.body, "committed") {
			t.Errorf("%s as %s: %d %s", path, media, r.status, r.body)
		}
	}
}

// A gateway that ends does not keep those who wait for the record.
func TestAGatewayThatEndsSaysWhatIsAccepted(t *testing.T) {
	g, record := startWithRecord(t)
	answered := make(chan reply)
	go func() {
		answered <- g.sendTo(g.client(true), "/v1/reports?wait=committed", report("a", 1, 1, 1))
	}()
	<-record.asked
	g.stop()
	if r := <-answered; r.status != 202 {
		t.Errorf("%d %s", r.status, r.body)
	}
}
