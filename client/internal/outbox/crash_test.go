package outbox_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/client/internal/outbox"
	"github.com/penstock/penstock/internal/testkit/crashfs"
)

// kept is what a caller was told of a report: from then on it may be sent.
type kept struct {
	id    penstock.Identity
	value int
}

// settled is what the gateway told.
type settled struct{ epoch, mark uint64 }

// mayDrop says that the outbox drops its oldest reports when it is full.
type mayDrop struct{}

// life is how an outbox is used.
type life struct {
	name       string
	dropOldest bool
	padding    int // bytes of each report
	reports    int // in each of three starts
	full       bool
	every      int // crash after each so many operations of the disk
}

// live appends, settles and reopens on the disk, and notes in its journal what
// was promised. It sees that the outbox was full, if it was to be.
func live(t *testing.T, disk *crashfs.FS, o outbox.Options, l life) {
	t.Helper()
	if o.DropOldest {
		disk.Mark(mayDrop{})
	}
	v, refused, dropped := 0, 0, uint64(0)
	for start := range 3 {
		b := open(t, o)
		for i := range l.reports {
			v++
			if start == 1 && i == 6 {
				disk.Inject(crashfs.Fault{Kind: crashfs.Sync, Path: ".box"})
			}
			if start == 2 && i == 3 {
				disk.Inject(crashfs.Fault{Kind: crashfs.Write, Path: ".box"})
			}
			id, err := b.Append(samples(v, l.padding))
			switch {
			case err == nil:
				disk.Mark(kept{id, v})
			case penstock.CodeOf(err) == penstock.Full && !l.dropOldest:
				refused++
			case penstock.CodeOf(err) != penstock.Unavailable:
				t.Fatal(err)
			}
			if i%5 == 4 && !l.full || i%7 == 6 && l.full {
				epoch, first, next, _ := b.Bounds()
				mark := first + (next-first)/3
				disk.Mark(settled{epoch, mark})
				b.Forget(epoch, mark)
			}
		}
		dropped += b.Stats().Dropped
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if l.full && (refused > 0) == l.dropOldest || l.full && (dropped > 0) != l.dropOldest {
		t.Fatalf("the outbox was to be full: %d reports were refused, %d dropped", refused, dropped)
	}
	t.Logf("%d reports: %d were refused, %d dropped; %d operations of the disk", v, refused, dropped, disk.Ops())
}

// lives are those that every run of the tests tries, and those that are tried when
// there is time.
func lives() []life {
	every := min(stride(), 5) // large reports take their time
	all := []life{
		{"with room", false, 3000, 14, false, 1},
		{"full, dropping the oldest", true, 20_000, 17, true, every},
		{"full, refusing new ones", false, 20_000, 17, true, every},
	}
	if stride() == 1 {
		all = append(all, life{"full for long, dropping the oldest", true, 20_000, 40, true, 5}, life{"full for long, refusing new ones", false, 20_000, 40, true, 5})
	}
	return all
}

// stride is how many operations of a start lie between two second crashes: other
// ones at each first crash.
func stride() int {
	if os.Getenv("PENSTOCK_TORTURE") != "" {
		return 1
	}
	return 23
}

// choices are what a power cut may leave.
func choices(seed uint64) []crashfs.Choice {
	few := []crashfs.Choice{{Keep: crashfs.None}, {Keep: crashfs.Half, Tear: 1}, {Keep: crashfs.Seeded, Seed: seed}}
	if stride() > 1 {
		return few
	}
	return append(few, crashfs.Choice{Keep: crashfs.Half}, crashfs.Choice{Keep: crashfs.All}, crashfs.Choice{Keep: crashfs.Seeded, Tear: 1, Seed: seed + 1})
}

// TestNothingIsLostByACrash crashes after every operation, and again in the start
// that follows.
func TestNothingIsLostByACrash(t *testing.T) {
	for _, c := range lives() {
		t.Run(c.name, func(t *testing.T) {
			crashes := 0
			defer func() { t.Logf("%d crashes, each with a second one in the start that followed", crashes) }()
			disk := newDisk(t)
			o := options(crashFiles{disk}, &epochs{})
			o.DropOldest = c.dropOldest
			live(t, disk, o, c)
			seed := uint64(0)
			disk.Sweep(4, func(p *crashfs.Point) bool {
				if p.Op%c.every != c.every-1 {
					return true
				}
				for _, choice := range choices(seed) {
					crashes++
					afterCrash(t, p.CrashRecorded(choice), o.DropOldest, p.Marks, fmt.Sprintf("crash %+v after %d, %s", choice, p.Op, p.Last))
				}
				afterCrash(t, p.Kill(), o.DropOldest, p.Marks, fmt.Sprintf("kill after %d, %s", p.Op, p.Last))
				seed += 2
				return !t.Failed()
			})
		})
	}
}

// afterCrash opens what a crash left, and sees that all that was promised is
// there. Then it crashes again within that start.
func afterCrash(t *testing.T, disk *crashfs.FS, dropOldest bool, marks []any, when string) {
	t.Helper()
	e := &epochs{last: 100}
	settings := func(disk *crashfs.FS) outbox.Options {
		o := options(crashFiles{disk}, e)
		o.DropOldest = dropOldest
		return o
	}
	b := open(t, settings(disk))
	opened := disk.Ops()
	sent := offered(b, t)
	mustHold(t, sent, marks, when)
	b.Close()
	promised := append([]any(nil), marks...)
	for id, v := range sent {
		promised = append(promised, kept{id, v})
	}
	disk.Sweep(1, func(p *crashfs.Point) bool {
		if (p.Op+len(marks))%stride() != 0 && p.Op != opened {
			return true
		}
		hold := marks
		if p.Op == opened {
			hold = promised // it was open: anything may have been sent
		}
		again := p.Crash(crashfs.Choice{Keep: crashfs.None})
		second := open(t, settings(again))
		defer second.Close()
		now := offered(second, t)
		mustHold(t, now, hold, when+", and again")
		id, err := second.Append(samples(1_000_000, 0))
		if penstock.CodeOf(err) == penstock.Full && !dropOldest {
			return !t.Failed() && p.Op < opened
		}
		if err != nil {
			t.Fatal(err)
		}
		if v, ok := sent[id]; ok && p.Op == opened && v != -1 {
			t.Errorf("%s: %v, which may have been sent with %d, was given out again", when, id, v)
		}
		return !t.Failed() && p.Op < opened
	})
}

// offered returns all that an outbox would send.
func offered(b *outbox.Outbox, t *testing.T) map[penstock.Identity]int {
	return maps.Clone(all(t, b))
}

// mustHold sees that what was promised and is not settled is there, or was
// dropped as the oldest.
func mustHold(t *testing.T, got map[penstock.Identity]int, marks []any, when string) {
	t.Helper()
	done := map[uint64]uint64{}
	for _, m := range marks {
		if s, ok := m.(settled); ok {
			done[s.epoch] = max(done[s.epoch], s.mark)
		}
	}
	var promised []kept
	for _, m := range marks {
		if k, ok := m.(kept); ok && k.id.Seq > done[k.id.Epoch] {
			promised = append(promised, k)
		}
	}
	drops := slices.Contains(marks, any(mayDrop{}))
	room := 10 // of the newest there is room for so many, however large they are
	for i, k := range promised {
		v, ok := got[k.id]
		dropped := drops && v == -1 && i < len(promised)-room && (i == 0 || got[promised[i-1].id] == -1)
		if !ok || v != k.value && !dropped {
			t.Errorf("%s: report %v held %d, now %d (there: %v)", when, k.id, k.value, v, ok)
		}
	}
}
