package cli_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/cli/shell"
)

func event(id int) string {
	return fmt.Sprintf("id: r-%d\nevent: report\ndata: {\"controller\":\"pump-17\",\"epoch\":1,\"seq\":%d,\"samples\":[{\"point\":\"flow\",\"time\":\"2026-11-22T06:00:0%dZ\",\"value\":%d.5,\"status\":0,\"unit\":\"L/s\"},{\"point\":\"level\",\"time\":\"2026-11-22T06:00:00Z\",\"value\":null,\"status\":2150694912}]}\n\n", id, id, id, id)
}

// stream answers each connection with the next of the texts, then breaks it.
func stream(f *fake, texts ...string) *[]string {
	after := new([]string)
	f.answers["GET /v1/stream"] = func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		n := len(*after)
		*after = append(*after, r.Header.Get("Last-Event-ID"))
		f.mu.Unlock()
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "retry: 2000\n\n: heartbeat\n\n")
		if n < len(texts) {
			fmt.Fprint(w, texts[n])
		}
	}
	return after
}

func TestTailGoesOnAfterABreak(t *testing.T) {
	f := newFake(t)
	after := stream(f, event(1)+event(2), "event: new-kind\ndata: x\n\n", "event: missed\ndata: {\"missed\":12}\n\nevent: missed\ndata: {\"missed\":null}\n\n"+event(3))
	got := f.run("", "tail", "pump-*/flow", "--count", "5")
	golden(t, "tail.txt", got.stdout)
	got.want(t, shell.ExitOK, got.stdout, "12 reports of all controllers went by unseen.")
	if !strings.Contains(got.stderr, "connecting again in 250ms") {
		t.Errorf("standard error is\n%s", got.stderr)
	}
	if want := []string{"", "r-2", "r-2"}; strings.Join(*after, " ") != strings.Join(want, " ") {
		t.Errorf("Last-Event-ID was %q, want %q", *after, want)
	}
	if q := f.requests[0].URL.RawQuery; q != "controller=pump-%2A&point=flow" {
		t.Errorf("asked for %s", q)
	}
}

func TestTailPrintsReports(t *testing.T) {
	f := newFake(t)
	stream(f, event(1)+event(2))
	got := f.run("", "tail", "-o", "ndjson", "--count", "2")
	got.want(t, shell.ExitOK, `{"controller":"pump-17","epoch":1,"seq":1,"samples":[`, "")
	if strings.Count(got.stdout, "\n") != 2 {
		t.Errorf("got\n%s", got.stdout)
	}
}

func TestTailEndsWhenItIsAskedTo(t *testing.T) {
	f := newFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.answers["GET /v1/stream"] = func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, event(1))
		_ = http.NewResponseController(w).Flush()
		cancel()
		<-r.Context().Done()
	}
	if got := (command{}).runIn(ctx, "tail", "--data", f.data); got.code != shell.ExitOK || got.stderr != "" {
		t.Errorf("got %+v", got)
	}
}

func TestTailEndsWhereItMakesNoSense(t *testing.T) {
	f := newFake(t)
	f.refuse = []func(http.ResponseWriter){problem(403, "forbidden", "The scope does not cover it.", "")}
	f.run("", "tail").want(t, shell.ExitRefused, "", "The scope does not cover it")
	command{}.run("tail", "--url", "https://127.0.0.1:1").want(t, shell.ExitUnreachable, "", "connection refused")
	command{}.run("tail", "-o", "csv").want(t, shell.ExitUsage, "", "is no format")
	f.refuse = []func(http.ResponseWriter){problem(503, "unavailable", "The gateway is starting.", "9")}
	stream(f, event(1))
	if got := f.run("", "tail", "--count", "1"); got.code != shell.ExitOK || got.slept[0] != 9*time.Second {
		t.Errorf("a busy gateway is not tried again: %+v", got)
	}
}
