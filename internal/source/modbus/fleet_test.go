package modbus_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/modbus"
	"github.com/penstock/penstock/internal/source/modbus/modbustest"
	"github.com/penstock/penstock/internal/source/modbus/wire"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/link"
)

// The fleet: 40 lines of 25 devices, each polled for 60 registers every 5
// seconds at 9600 baud, which keeps a line busy for 80 % of its time.
const (
	fleetLines   = 40
	fleetDevices = 25
	fleetEvery   = 5 * time.Second
	warmUp       = 30 * time.Second // in which the dead ones are found
)

// lateness is a handler that notes how long after its slot each reading came.
type lateness struct {
	t     *testing.T
	since time.Time

	mu   sync.Mutex // guards everything below
	late []time.Duration
}

func (l *lateness) Submit(_ context.Context, es []penstock.Envelope) penstock.Ticket {
	l.mu.Lock()
	defer l.mu.Unlock()
	outcomes := make([]penstock.Outcome, len(es))
	var d link.Decoder
	var r penstock.Report
	for i := range es {
		if _, err := d.Decode(es[i].Body, &r); err != nil {
			l.t.Error(err)
		}
		outcomes[i].Verdicts = []penstock.Verdict{{Result: penstock.Accepted}}
		slot := time.Unix(0, r.Samples[0].SourceTime)
		if r.Samples[0].Value.Kind() != penstock.None && slot.After(l.since) {
			l.late = append(l.late, time.Unix(0, es[i].ReceivedTime).Sub(slot))
		}
	}
	return settled(outcomes)
}

type settled []penstock.Outcome

func (s settled) Wait(context.Context) ([]penstock.Outcome, error) { return s, nil }

func fleetConfig() modbus.Config {
	gap := 60
	groups := []modbus.Group{{Every: fleetEvery, Points: []modbus.Point{point("first", "holding 0", ""), point("last", "holding 59", "")}}}
	c := modbus.Config{Models: map[string]modbus.Model{"station": {Groups: groups, MaxGap: &gap}}}
	for i := range fleetLines {
		l := modbus.Line{Name: fmt.Sprint("line-", i), RTUOverTCP: "server:4001"}
		for j := range fleetDevices {
			l.Devices = append(l.Devices, modbus.Device{Controller: fmt.Sprintf("c-%d-%d", i, j), Unit: uint8(j + 1), Model: "station"})
		}
		c.Lines = append(c.Lines, l)
	}
	return c
}

// fleet polls for a time and returns the lateness of those that answer, sorted.
func fleet(t *testing.T, isDead func(unit uint8) bool, d time.Duration) []time.Duration {
	const characters = 8 + 5 + 120 // of a request and its answer, at 1.04 ms
	answer := func(q wire.Request) modbustest.Answer {
		a := address(q)
		a.Silent = isDead(q.Unit)
		a.After = characters*time.Second/960 + 20*time.Millisecond
		return a
	}
	var late []time.Duration
	synctest.Test(t, func(t *testing.T) {
		p := &plant{t: t, handler: answer}
		s, err := modbus.NewOn(fleetConfig(), sourcetest.Env(evidence.NewBook(time.Now), &states{}, nil), p.open)
		if err != nil {
			t.Fatal(err)
		}
		h := &lateness{t: t, since: time.Now().Add(warmUp)}
		ctx, cancel := context.WithTimeout(t.Context(), warmUp+d)
		defer cancel()
		if err := s.Run(ctx, h); err != nil {
			t.Error(err)
		}
		p.cut(nil)
		p.far.Wait()
		late = h.late
	})
	slices.Sort(late)
	return late
}

// Where a tenth of a fleet is dead, the others keep their slots as if nobody
// were. The times are those of a bubble: they show the schedule, not the machine.
func TestAFleetKeepsItsSlots(t *testing.T) {
	d := 30 * time.Second
	if os.Getenv("PENSTOCK_TORTURE") != "" {
		d = time.Hour
	}
	p99 := func(late []time.Duration) time.Duration { return late[len(late)*99/100].Round(time.Millisecond) }
	slots := int(d / fleetEvery)
	none := fleet(t, func(uint8) bool { return false }, d)
	tenth := fleet(t, func(unit uint8) bool { return unit%10 == 3 }, d) // 3, 13 and 23 of each line
	t.Logf("p99 and worst lateness of %d readings with none dead: %v, %v", len(none), p99(none), none[len(none)-1])
	t.Logf("p99 and worst lateness of %d readings with 12 %% dead: %v, %v", len(tenth), p99(tenth), tenth[len(tenth)-1])
	if want := (slots - 1) * fleetLines * fleetDevices; len(none) < want {
		t.Errorf("%d readings, want %d", len(none), want)
	}
	if want := (slots - 1) * fleetLines * (fleetDevices - 3); len(tenth) < want {
		t.Errorf("%d readings with some dead, want %d", len(tenth), want)
	}
	if p99(tenth) > p99(none) {
		t.Errorf("the healthy devices are later when others are dead: %v, against %v", p99(tenth), p99(none))
	}
	if worst := none[len(none)-1]; worst > fleetEvery {
		t.Errorf("with none dead a reading was %v late", worst)
	}
}
