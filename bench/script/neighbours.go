package script

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/script"
)

// harm are scripts that fail on the reports of one controller, and do no more than
// look at those of all others.
var harm = []struct{ name, body string }{
	{"nothing", ``},
	{"endless loop", `for (;;);`},
	{"endless allocation", `const all = []; for (;;) all.push(new Array(1000).fill(1))`},
	{"endless recursion", `function f() { return f() + 1 } f()`},
	{"/(a+)+$/", `/(a+)+$/.test("a".repeat(40) + "b")`},
	{"strings of 10 MB", `report.samples[0].value = "x".repeat(1e7)`},
	{"throwing getter", `report.samples = [{ get point() { throw new Error("no") } }]`},
}

// Effect is what one kind of harm does to the reports of others.
type Effect struct {
	Harm    string
	Harmful int64         // reports that did it
	Others  int           // that were timed
	Median  time.Duration // of the others
	P99     time.Duration
}

// The shape of the measurement of neighbours.
const (
	Timeout   = 50 * time.Millisecond
	PerSecond = 50 // reports of others
)

// Neighbours times the reports of others while those of one controller do harm, one
// after the other; the first effect is that of no harm, with a controller that sends
// as fast as it is answered.
func (m Run) Neighbours(ctx context.Context) ([]Effect, error) {
	var effects []Effect
	for _, h := range harm {
		all, bad, err := m.beside(ctx, h.body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", h.name, err)
		}
		slices.Sort(all)
		effects = append(effects, Effect{h.name, bad, len(all), all[len(all)/2], all[len(all)*99/100]})
	}
	return effects, nil
}

// beside runs harmful reports in one goroutine and times others' in this one.
func (m Run) beside(ctx context.Context, body string) ([]time.Duration, int64, error) {
	e, err := engine("export function onReport(report) {\n  if (report.controller !== 'bad') return;\n  "+body+"\n}", Timeout)
	if err != nil {
		return nil, 0, err
	}
	defer e.Close() // what is stuck ends with the process
	r := newReport("pump-17")
	ctx, cancel := context.WithTimeout(ctx, m.Length)
	defer cancel()
	var bad atomic.Int64
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() {
		worst := newReport("bad")
		for ctx.Err() == nil {
			if _, err := e.Run(ctx, worst); err == nil {
				bad.Add(1)
			}
		}
	})
	var all []time.Duration
	ticks := time.NewTicker(time.Second / PerSecond)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			if len(all) == 0 {
				return nil, 0, io.ErrUnexpectedEOF
			}
			return all, bad.Load(), nil
		case <-ticks.C:
		}
		began := time.Now()
		if out, err := e.Run(context.WithoutCancel(ctx), r); err != nil || out.Fault != nil {
			return nil, 0, fmt.Errorf("a report of others failed: %w", firstError(err, out.Fault))
		}
		all = append(all, time.Since(began))
	}
}

func firstError(err error, fault *script.Fault) error {
	if err != nil {
		return err
	}
	return fault
}
