package linkgate_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/serialport"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/linkgate"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/internal/testkit/impair"
)

// drop is a line of 9,600 baud with several controllers, in virtual time.
type drop struct {
	bus  *bus
	desk *sourcetest.Desk
	book *evidence.Book
	way  *impair.Stream
	stop func()
}

const (
	charsASecond = 960
	turnBytes    = 512
)

// newDrop runs a gateway for the named controllers, with addresses from 1. Not all
// of them need to be there.
func newDrop(t *testing.T, p impair.Profile, names ...string) *drop {
	t.Helper()
	return newDropWith(t, p, nil, names...)
}

// newDropWith is newDrop with what asks the record about newcomers, nil for nothing.
func newDropWith(t *testing.T, p impair.Profile, newcomers source.Newcomers, names ...string) *drop {
	t.Helper()
	return newDropOf(t, p, func(_ *linkgate.SerialConfig, env *source.Env) { env.Newcomers = newcomers }, names...)
}

// newDropOf is newDrop with settings changed.
func newDropOf(t *testing.T, p impair.Profile, change func(*linkgate.SerialConfig, *source.Env), names ...string) *drop {
	t.Helper()
	gateway, near := net.Pipe()
	far, controllers := net.Pipe()
	p.Rate = charsASecond
	d := &drop{desk: sourcetest.NewDesk(nil), book: evidence.NewBook(time.Now), way: impair.NewStream(near, far, p), bus: newBus(controllers)}
	c := linkgate.SerialConfig{Serial: serialport.Config{Device: "/dev/none", Baud: 9600}, Turn: turnBytes}
	for i, name := range names {
		c.Controllers = append(c.Controllers, linkgate.Station{Name: name, Address: uint16(i + 1)})
	}
	env := sourcetest.Env(d.book, status{}, nil)
	env.Marks = books{}
	change(&c, &env)
	s, err := linkgate.NewSerial(c, env)
	if err != nil {
		t.Fatal(err)
	}
	s.OpenWith(func() (linkgate.Wire, error) { return gateway, nil })
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(d.bus.run)
	work.Go(func() {
		if err := s.Run(ctx, d.desk); err != nil {
			t.Error(err)
		}
	})
	d.stop = func() { cancel(); d.way.Close(); work.Wait() }
	return d
}

// content is the report of a number: it can be told from every other.
func content(name string, seq uint64) *penstock.Report {
	return &penstock.Report{
		Controller: name, Identity: penstock.SequenceIdentity(1, seq),
		Samples: []penstock.Sample{
			{Point: "flow", SourceTime: 1_700_000_000_000_000_000 + int64(seq)*1e9, Value: penstock.UintValue(seq)},
			{Point: "name", SourceTime: 1_700_000_000_000_000_000 + int64(seq)*1e9, Value: penstock.TextValue(name)},
		},
	}
}

// controller puts a controller with n reports on the line.
func (d *drop) controller(t *testing.T, name string, address uint16, n uint64) *station {
	t.Helper()
	return d.join(t, newStation(name, address, n, 0), name, n)
}

// join puts a controller on the line that has n reports.
func (d *drop) join(t *testing.T, s *station, name string, n uint64) *station {
	t.Helper()
	for seq := uint64(1); seq <= n; seq++ {
		s.reports[seq] = content(name, seq)
	}
	d.bus.join(t, s)
	return s
}

// delivered waits until the desk has all of a controller's reports, and returns how
// long it took.
func (d *drop) delivered(t *testing.T, limit time.Duration, counts map[string]uint64) time.Duration {
	t.Helper()
	begin := time.Now()
	for {
		have := map[string]uint64{}
		for _, r := range d.desk.Accepted() {
			have[r.Controller]++
		}
		all := true
		for name, n := range counts {
			all = all && have[name] == n
		}
		if all {
			return time.Since(begin)
		}
		if time.Since(begin) > limit {
			t.Fatalf("after %s the desk has %v of %v", limit, have, counts)
		}
		time.Sleep(100 * time.Millisecond) // of virtual time
	}
}

// sound fails when something was accepted that was never sent so.
func (d *drop) sound(t *testing.T) {
	t.Helper()
	seen := map[string]map[uint64]bool{}
	for _, r := range d.desk.Accepted() {
		seq := r.Identity.Seq
		want := content(r.Controller, seq)
		if len(r.Samples) != 2 || r.Samples[0] != want.Samples[0] || r.Samples[1] != want.Samples[1] {
			t.Errorf("a corrupt report was accepted: %+v", r)
		}
		if seen[r.Controller] == nil {
			seen[r.Controller] = map[uint64]bool{}
		}
		if seen[r.Controller][seq] {
			t.Errorf("%s %d was accepted twice", r.Controller, seq)
		}
		seen[r.Controller][seq] = true
	}
}

// TestMultiDropOnABadLine has two controllers deliver over a line that flips bits,
// loses ends, doubles, and hears noise: everything comes once, and nothing else.
func TestMultiDropOnABadLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t, impair.Profile{BitErrors: 1e-4, Noise: 0.05, Cut: 0.02, Duplicate: 0.02, Loss: 0.01, Seed: 3}, "pump-1", "pump-2")
		const n = 400
		d.controller(t, "pump-1", 1, n)
		d.controller(t, "pump-2", 2, n)
		took := d.delivered(t, time.Hour, map[string]uint64{"pump-1": n, "pump-2": n})
		d.stop()
		d.sound(t)
		port := d.book.Port("test")
		if port.Counted(evidence.Checksum) == 0 || port.Counted(evidence.Framing) == 0 || len(port.BadFrames()) == 0 {
			t.Errorf("the line's damages are not in the evidence: %+v", port.Summary())
		}
		up, down := d.way.Counts()
		t.Logf("%d reports in %s of the line's time; %d bits flipped, %d bytes of noise, %d cut off; the gateway saw %d damaged, the controllers %d",
			2*n, took, up.Flipped+down.Flipped, up.Noise+down.Noise, up.Cutoff+down.Cutoff,
			port.Counted(evidence.Checksum)+port.Counted(evidence.Framing)+port.Counted(evidence.Malformed), d.bus.damaged)
	})
}

// TestADeadControllerDelaysByItsTurnOnly compares a line on which a third controller
// is dead with one on which there is none.
func TestADeadControllerDelaysByItsTurnOnly(t *testing.T) {
	const n = 300
	run := func(names ...string) (took, gap time.Duration, timeouts uint64) {
		synctest.Test(t, func(t *testing.T) {
			d := newDrop(t, impair.Profile{}, names...)
			d.controller(t, "pump-1", 1, n)
			d.controller(t, "pump-2", 2, n)
			d.bus.watch()
			took = d.delivered(t, time.Hour, map[string]uint64{"pump-1": n, "pump-2": n})
			d.stop()
			d.sound(t)
			gap, timeouts = d.bus.longest, d.book.Port("test").Counted(evidence.Timeout)
		})
		return took, gap, timeouts
	}
	alone, calm, none := run("pump-1", "pump-2")
	dead, gap, timeouts := run("pump-1", "pump-2", "pump-3")
	// What the silence of one turn costs: its bytes at the line's rate, the
	// turnaround, and the frames of the turn itself.
	const turn = (turnBytes+60)*time.Second/charsASecond + 250*time.Millisecond
	t.Logf("without: %s, longest wait between turns %s; with a dead one: %s, %s, %d turns for nothing", alone, calm, dead, gap, timeouts)
	if none != 0 {
		t.Errorf("%d turns timed out on a sound line", none)
	}
	if gap > calm+turn {
		t.Errorf("a dead controller holds the others up for %s, which is more than its turn of %s", gap-calm, turn)
	}
	if timeouts < 3 || dead > alone+time.Duration(timeouts)*turn {
		t.Errorf("%d turns of a dead controller cost %s in all", timeouts, dead-alone)
	}
	if limit := 3 + uint64(dead/time.Second); timeouts > min(limit, 10) {
		t.Errorf("a dead controller was asked %d times in %s", timeouts, dead)
	}
}
