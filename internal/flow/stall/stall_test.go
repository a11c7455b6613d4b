package stall_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/flow"
	"github.com/penstock/penstock/internal/flow/stall"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

type health struct {
	mu   sync.Mutex
	last string
}

func (h *health) OK()                { h.Failing("") }
func (h *health) Failing(why string) { h.mu.Lock(); defer h.mu.Unlock(); h.last = why }
func (h *health) why() string        { h.mu.Lock(); defer h.mu.Unlock(); return h.last }

// page is a log that can be read while it is written.
type page struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *page) Write(b []byte) (int, error) { p.mu.Lock(); defer p.mu.Unlock(); return p.text.Write(b) }
func (p *page) String() string              { p.mu.Lock(); defer p.mu.Unlock(); return p.text.String() }

// standHere is a function to be found in the stacks.
func standHere(until <-chan struct{}) { <-until }

func TestStallIsNamedOnceUntilItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log page
		var kept []string
		var ack, delivery health
		book := flow.New(flow.Options{})
		d := stall.New(stall.Options{
			Book: book, Log: slog.New(slog.NewTextHandler(&log, nil)),
			Status: map[flow.Part]stall.Status{flow.Acknowledgement: &ack, flow.Delivery: &delivery},
			Keep: func(name string, stacks []byte) (string, error) {
				kept = append(kept, name)
				if len(kept) > 1 {
					return "", errors.New("the disk is full")
				}
				return "stalls/1.txt", nil
			},
		})
		ctx, cancel := context.WithCancel(context.Background())
		var work sync.WaitGroup
		work.Go(func() { d.Run(ctx) })
		synctest.Wait()
		stage, slot := book.Stage("validate", flow.Acknowledgement, "stall_test.standHere"), book.Slot()
		end := make(chan struct{})
		work.Go(func() {
			slot.Enter(stage, time.Now())
			standHere(end)
			slot.Leave()
		})
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if !d.Healthy() || ack.why() != "" {
			t.Errorf("too early: %s", ack.why())
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		s := d.Stalls()
		if len(s) != 1 || s[0].Stage != "validate" || s[0].Stacks != "stalls/1.txt" || !strings.Contains(s[0].Goroutine, "stall_test.standHere") {
			t.Fatalf("%+v", s)
		}
		if d.Healthy() || delivery.why() != "" || !strings.Contains(ack.why(), `the stage "validate" stands still since`) || !strings.Contains(ack.why(), "goroutine ") {
			t.Errorf("healthy %v: %s, %s", d.Healthy(), ack.why(), delivery.why())
		}
		if n := strings.Count(log.String(), "a stage stands still"); n != 1 || len(kept) != 1 {
			t.Errorf("said %d times, kept %d: %s", n, len(kept), log.String())
		}
		close(end)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if !d.Healthy() || ack.why() != "" || len(d.Stalls()) != 0 || !strings.Contains(log.String(), "moves again") {
			t.Errorf("it moves: %s, %s", ack.why(), log.String())
		}
		// A detector that does not look any more says nothing good of others.
		cancel()
		work.Wait()
		time.Sleep(time.Minute)
		if d.Healthy() {
			t.Error("healthy without a look")
		}
	})
}

const stacks = `goroutine 7 [select]:
other.Function(0x1)
	/src/other.go:5 +0x1

goroutine 12 [running]:
example.org/x/pipeline.(*schema).onReport(0xc000, {0x1, 0x2})
	/src/schema.go:5 +0x1
example.org/x/pipeline.(*stage).run(0xc0)
	/src/pipeline.go:9 +0x1

goroutine 9 [sync.Mutex.Lock, 3 minutes]:
sync.(*Mutex).Lock(...)
	/go/mutex.go:1
example.org/x/pipeline.(*schema).onReport(0xc000)
	/src/schema.go:7 +0x1
created by net/http.(*Server).Serve
`

func TestFind(t *testing.T) {
	for frame, want := range map[string]string{
		"pipeline.(*schema).":          "goroutine 9 [sync.Mutex.Lock, 3 minutes] sync.(*Mutex).Lock < pipeline.(*schema).onReport",
		"pipeline.(*stage).run":        "goroutine 12 [running] pipeline.(*schema).onReport < pipeline.(*stage).run",
		"nobody|pipeline.(*stage).run": "goroutine 12 [running] pipeline.(*schema).onReport < pipeline.(*stage).run",
		"nobody":                       "", "": "",
	} {
		if got := stall.Find([]byte(stacks), frame); got != want {
			t.Errorf("%s: %s", frame, got)
		}
	}
}
