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
//
//lint:table
var harm = []struct{ name, body string }{
	{"endless loop", `for (;;);`},
	{"endless allocation", `const all = []; for (;;) all.push(new Array(1000).fill(1))`},
	{"endless recursion", `function f() { return f() + 1 } f()`},
	{"/(a+)+$/", `/(a+)+$/.test("a".repeat(40) + "b")`},
	{"strings of 10 MB", `report.samples[0].value = "x".repeat(1e7)`},
	{"throwing getter", `report.samples = [{ get point() { throw new Error("no") } }]`},
	{"prototype pollution", `JSON.parse('{"__proto__": {"polluted": 1}}').__proto__; Object.prototype.polluted = 1`},
}

// Effect is what one kind of harm does to the reports of others, beside what they take
// alone, and beside a controller that sends as much as it can and does no harm.
type Effect struct {
	Harm                string
	Harmful, Rested     int64 // reports that did it, and on which the script was not run
	Alone, Busy, Harmed Times
}

// Times are those of the reports of others.
type Times struct {
	Reports     int
	Median, P99 time.Duration // of a half second, in the median of all half seconds
}

// timesOf sums up the half seconds: in their median, so that one in which the machine
// was busy with other things does not count.
func timesOf(turns [][]time.Duration) Times {
	var t Times
	var medians, p99s []time.Duration
	for _, all := range turns {
		slices.Sort(all)
		t.Reports += len(all)
		medians, p99s = append(medians, all[len(all)/2]), append(p99s, all[len(all)*99/100])
	}
	slices.Sort(medians)
	slices.Sort(p99s)
	t.Median, t.P99 = medians[len(medians)/2], p99s[len(p99s)/2]
	return t
}

// The shape of the measurement of neighbours.
const (
	Timeout   = 50 * time.Millisecond
	PerSecond = 100                    // reports of others
	slice     = 500 * time.Millisecond // between base and harm
	between   = time.Millisecond       // reports of a controller that rests: they take no time by themselves
)

// Neighbours times the reports of others while those of one controller do harm, one
// kind after the other. Harm and both bases take turns every half second, so that
// what else the machine does meets all of them.
func (m Run) Neighbours(ctx context.Context) ([]Effect, error) {
	var effects []Effect
	for _, h := range harm {
		e, err := m.beside(ctx, h.body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", h.name, err)
		}
		e.Harm = h.name
		effects = append(effects, e)
	}
	return effects, nil
}

// beside runs one kind of harm for three times the length of a measurement.
func (m Run) beside(ctx context.Context, body string) (effect Effect, err error) {
	e, err := engine("export function onReport(report) {\n  if (report.controller !== 'bad') return;\n  "+body+"\n}", Timeout)
	if err != nil {
		return effect, err
	}
	defer e.Close() // what is stuck ends with the process
	others := [...]string{nobody, "busy", "bad"}
	var times [len(others)][][]time.Duration
	for end := time.Now().Add(3 * m.Length); time.Now().Before(end); {
		for i, controller := range others {
			sent, rested, took, err := turn(ctx, e, controller)
			if err != nil {
				return effect, err
			}
			times[i] = append(times[i], took)
			if controller == "bad" {
				effect.Harmful, effect.Rested = effect.Harmful+sent, effect.Rested+rested
			}
		}
	}
	effect.Alone, effect.Busy, effect.Harmed = timesOf(times[0]), timesOf(times[1]), timesOf(times[2])
	return effect, nil
}

// nobody sends beside the others.
const nobody = ""

// turn has one controller send as fast as it is answered, in a goroutine, and times
// others' reports in this one.
func turn(ctx context.Context, e *script.Engine, controller string) (sent, rested int64, all []time.Duration, _ error) {
	ctx, cancel := context.WithTimeout(ctx, slice)
	defer cancel()
	var ran, rests atomic.Int64
	var work sync.WaitGroup
	work.Go(func() {
		r := newReport(controller)
		for controller != nobody && ctx.Err() == nil {
			switch out, err := e.Run(ctx, r); {
			case err != nil:
			case out.Fault != nil && out.Fault.Kind == script.Resting:
				rests.Add(1)
				await(ctx, between)
			default:
				ran.Add(1)
			}
		}
	})
	defer work.Wait()
	r := newReport("pump-17")
	ticks := time.NewTicker(time.Second / PerSecond)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			if len(all) == 0 {
				return 0, 0, nil, io.ErrUnexpectedEOF
			}
			return ran.Load(), rests.Load(), all, nil
		case <-ticks.C:
		}
		before := time.Now()
		if out, err := e.Run(context.WithoutCancel(ctx), r); err != nil || out.Fault != nil {
			return 0, 0, nil, fmt.Errorf("a report of others failed: %w", firstError(err, out.Fault))
		}
		all = append(all, time.Since(before))
	}
}

// await waits for a time, or until ctx ends.
func await(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func firstError(err error, fault *script.Fault) error {
	if err != nil {
		return err
	}
	return fault
}
