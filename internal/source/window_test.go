package source_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/link"
)

// ledgerOf notes what a window settles.
type ledgerOf struct {
	journal *journal
	fail    error
}

func (l ledgerOf) Settle(n int, outcomes []penstock.Outcome) error {
	l.journal.note(fmt.Sprint("settle ", n, " ", source.Refusal(outcomes)))
	return l.fail
}

func (l ledgerOf) Flush() error { l.journal.note("flush"); return nil }

func envelope(seq uint64) []penstock.Envelope {
	r := penstock.Report{Controller: "pump-17", Identity: penstock.SequenceIdentity(1, seq)}
	return []penstock.Envelope{{ContentType: link.MediaType, Body: link.AppendReport(nil, &r)}}
}

// window runs a window in a bubble; stop ends it and returns its error.
func window(t *testing.T, j *journal, desk *sourcetest.Desk, limit int) (w *source.Window[int], stop func() error) {
	w = source.NewWindow[int](desk, status{j, "w"}, limit)
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	var err error
	work.Go(func() { err = w.Run(ctx, ledgerOf{journal: j}) })
	return w, func() error { cancel(); work.Wait(); return err }
}

func TestWindowSettlesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, desk := &journal{}, sourcetest.NewDesk(nil)
		desk.Close()
		w, stop := window(t, j, desk, 8)
		var slots []*source.Slot[int]
		for n := range 4 {
			s, err := w.Take(t.Context(), n)
			if err != nil {
				t.Fatal(err)
			}
			slots = append(slots, s)
		}
		for n := len(slots) - 1; n > 0; n-- { // the first one comes last
			slots[n].Submit(t.Context(), envelope(uint64(n)))
		}
		synctest.Wait()
		want(t, j.take())
		desk.Open()
		synctest.Wait()
		want(t, j.take())
		slots[0].Submit(t.Context(), nil)
		synctest.Wait()
		want(t, j.take(), "settle 0 ", "settle 1 ", "settle 2 ", "settle 3 ", "flush")
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	})
}

func TestWindowSubmitsAgainWhatFoundNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, desk := &journal{}, sourcetest.NewDesk(nil)
		w, stop := window(t, j, desk, 8)
		for n := range 4 {
			if n == 1 {
				synctest.Wait() // the first is settled before the outage
				want(t, j.take(), "settle 0 ", "flush")
				desk.Fail(penstock.RetryLater(penstock.Full, 2*time.Second, "no room"))
			}
			s, _ := w.Take(t.Context(), n)
			s.Submit(t.Context(), envelope(uint64(n+1)))
		}
		time.Sleep(5 * time.Minute) // of the bubble's clock
		lines := j.take()
		if attempts := desk.Envelopes(); attempts < 30 || attempts > 60 || len(lines) == 0 || lines[0] != "failing w: the node takes nothing for now: no room" {
			t.Errorf("%d attempts in five minutes; %q", attempts, lines)
		}
		desk.Fail(nil)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		want(t, j.take(), "ok w", "settle 1 ", "settle 2 ", "settle 3 ", "flush")
		if got := len(desk.Accepted()); got != 4 {
			t.Errorf("%d reports were accepted", got)
		}
		_ = stop()
	})
}

func TestWindowTellsARefusalAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, desk := &journal{}, sourcetest.NewDesk(nil)
		w, stop := window(t, j, desk, 8)
		desk.Refuse(penstock.ReasonRange)
		s, _ := w.Take(t.Context(), 1)
		s.Submit(t.Context(), envelope(1))
		s, _ = w.Take(t.Context(), 2)
		s.Submit(t.Context(), []penstock.Envelope{{ContentType: "none"}})
		synctest.Wait()
		want(t, j.take(), "settle 1 range: the desk refuses", `settle 2 the desk cannot read "none"`, "flush")
		_ = stop()
	})
}

func TestWindowIsBoundedAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, desk := &journal{}, sourcetest.NewDesk(nil)
		desk.Close()
		w, stop := window(t, j, desk, 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		taken := 0
		for ; ; taken++ {
			s, err := w.Take(ctx, taken)
			if err != nil {
				break
			}
			s.Submit(t.Context(), envelope(uint64(taken+1)))
		}
		if taken != 3 { // one is being decided
			t.Errorf("%d deliveries were taken", taken)
		}
		desk.Open()
		desk.Fail(penstock.Errorf(penstock.Closed, "the node is closing"))
		synctest.Wait()
		want(t, j.take())
		if err := stop(); penstock.CodeOf(err) != penstock.Closed {
			t.Errorf("it ended with %v", err)
		}
	})
}
