package spool_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/testkit/crashfs"
)

// torture says whether everything is tried, which takes minutes, and not a
// part drawn from it: make torture-spool.
func torture() bool { return os.Getenv("PENSTOCK_TORTURE") != "" }

// The marks that an actor leaves in the journal.
type (
	submitted struct{ from, to int } // a call with the entries from to to-1
	acked     struct {
		submitted
		first penstock.Position
	}
	refused     struct{ submitted }
	opened      struct{}
	releasing   struct{ through penstock.Position }
	snapshotted struct{ through penstock.Position }
)

// actor uses a spool as its owners do, and notes in the journal what it asked
// for and what it was told. Its entries are numbered.
type actor struct {
	t    testing.TB
	fs   *crashfs.FS
	opt  spool.Options
	s    *spool.Spool
	next int
}

func newActor(t testing.TB, fs *crashfs.FS, o spool.Options) *actor {
	return &actor{t: t, fs: fs, opt: o}
}

// open opens the spool; it fails only when the disk does.
func (a *actor) open() bool {
	s, _, err := spool.Open(a.opt)
	if err != nil {
		if c := penstock.CodeOf(err); c != penstock.Full && c != penstock.Unavailable {
			a.t.Errorf("open: %v", err)
		}
		return false
	}
	a.s = s
	a.fs.Mark(opened{})
	return true
}

func (a *actor) close() {
	if a.s != nil {
		a.s.Close()
		a.s = nil
	}
}

// numberedEntry is entry n: its content is a function of n.
func numberedEntry(n, size int) spool.Entry {
	b := binary.BigEndian.AppendUint64(nil, uint64(n))
	b = append(b, bytes.Repeat([]byte{byte(n) | 1}, size)...)
	return spool.Entry{Data: b, Digest: fmt.Appendf(nil, "digest %d", n)}
}

// begin submits a call of count entries.
func (a *actor) begin(count, size int) <-chan error {
	sub := submitted{a.next, a.next + count}
	a.next += count
	var entries []spool.Entry
	for n := sub.from; n < sub.to; n++ {
		entries = append(entries, numberedEntry(n, size))
	}
	done := make(chan error, 1)
	a.fs.Mark(sub)
	err := a.s.Append(entries, func(first penstock.Position, err error) {
		if err == nil {
			a.fs.Mark(acked{sub, first})
		} else {
			a.fs.Mark(refused{sub})
		}
		done <- err
	})
	if err != nil {
		a.fs.Mark(refused{sub})
		done <- err
	}
	return done
}

func (a *actor) put(count, size int) error { return <-a.begin(count, size) }

func (a *actor) snapshot() {
	through := a.s.Durable()
	if err := a.s.WriteSnapshot(through, fmt.Appendf(nil, "state at %d", through)); err == nil {
		a.fs.Mark(snapshotted{through})
	}
}

func (a *actor) release() {
	a.fs.Mark(releasing{a.s.Durable()})
	_ = a.s.Release(a.s.Durable()) // it may fail with the disk; what it leaves is checked
}

// healthy waits until entries are taken again.
func (a *actor) healthy() {
	until(a.t, "the spool takes entries again", func() bool { return a.s.State().Health == spool.Healthy })
}

// scenario is a canonical piece of work.
type scenario struct {
	name string
	tune func(o *spool.Options)
	run  func(a *actor)
}

func scenarios() []scenario {
	sync := func(path string, skip int) func(a *actor) {
		return func(a *actor) {
			a.put(2, 100)
			a.put(1, 10)
			a.fs.Inject(crashfs.Fault{Kind: crashfs.Sync, Path: path, Skip: skip})
			for range 5 {
				a.put(2, 300)
				a.put(1, 9000)
				a.healthy()
			}
		}
	}
	return []scenario{
		{"append", nil, func(a *actor) {
			for i := range 6 {
				a.put(1+i%3, []int{0, 10, 600, 5000}[i%4])
			}
		}},
		{"group", nil, func(a *actor) {
			for range 3 {
				var wait []<-chan error
				for i := range 8 {
					wait = append(wait, a.begin(1+i%2, 700*i))
				}
				for _, w := range wait {
					<-w
				}
			}
		}},
		{"roll over", nil, func(a *actor) {
			for range 12 {
				a.put(1, 11000)
			}
		}},
		{"idle mark", func(o *spool.Options) { o.IdleMark = time.Millisecond }, func(a *actor) {
			for range 4 {
				ops := a.fs.Ops()
				if a.put(2, 100) == nil { // two marks of the test, and two writes with their syncs
					until(a.t, "an idle mark is written", func() bool { return a.fs.Ops() >= ops+6 })
				}
			}
		}},
		{"snapshot and release", nil, func(a *actor) {
			for range 3 {
				for range 4 {
					a.put(1, 11000)
				}
				a.snapshot()
				a.release()
			}
		}},
		{"reopen", nil, func(a *actor) {
			for range 4 {
				a.put(2, 1000)
				a.close()
				if !a.open() {
					return
				}
			}
			a.put(1, 1)
		}},
		{"failed fsync", nil, sync(".seg", 1)},
		{"failed fsync of an opening", nil, sync(".zero", 3)},
		{"failed fsync of the directory", nil, sync("/spool", 0)},
		{"failed write", nil, func(a *actor) {
			a.put(2, 100)
			a.fs.Inject(crashfs.Fault{Kind: crashfs.Write, Path: ".seg", Times: 1})
			a.put(3, 3000)
			a.healthy()
			a.put(1, 100)
		}},
		{"full disk", nil, func(a *actor) {
			a.put(1, 100)
			a.fs.SetCapacity(3 * small)
			for range 20 {
				a.put(1, 9000)
			}
			a.fs.SetCapacity(0)
			a.healthy()
			a.put(1, 100)
		}},
		{"quota", func(o *spool.Options) { o.QuotaBytes = 3 * small }, func(a *actor) {
			for range 3 {
				for range 8 {
					a.put(1, 11000)
				}
				for range 4 { // one of them may fail, and two must not
					a.snapshot()
					a.release()
				}
				a.healthy()
			}
		}},
	}
}

// play runs a scenario and returns its file system with the journal of it.
func play(t testing.TB, sc scenario, k *keyring.Keyring, faults ...crashfs.Fault) *crashfs.FS {
	fs := crashfs.New()
	o := options(fs, k)
	if sc.tune != nil {
		sc.tune(&o)
	}
	a := newActor(t, fs, o)
	for _, f := range faults {
		fs.Inject(f)
	}
	if a.open() {
		sc.run(a)
	}
	a.close()
	return fs
}

// history is what an actor asked for and was told.
type history struct {
	calls     []submitted
	acks      map[penstock.Position]int // the entry at each acknowledged position
	void      map[int]bool              // refused before a later acknowledgement of the same process
	releasing penstock.Position
	snapshot  penstock.Position
}

func told(marks []any) history {
	h := history{acks: map[penstock.Position]int{}, void: map[int]bool{}}
	var pending []int
	for _, m := range marks {
		switch m := m.(type) {
		case submitted:
			h.calls = append(h.calls, m)
		case acked:
			for n := m.from; n < m.to; n++ {
				h.acks[m.first+penstock.Position(n-m.from)] = n
			}
			for _, n := range pending {
				h.void[n] = true
			}
			pending = nil
		case refused:
			for n := m.from; n < m.to; n++ {
				pending = append(pending, n)
			}
		case opened: // what was refused before and not voided yet may have been read back
			pending = nil
		case releasing:
			h.releasing = max(h.releasing, m.through)
		case snapshotted:
			h.snapshot = max(h.snapshot, m.through)
		}
	}
	return h
}

// check opens the spool on what a crash left and returns what it holds, and
// what is wrong with it.
func (h history) check(o spool.Options) (held []int, err error) {
	s, _, err := spool.Open(o)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	recs, err := tryReadAll(s, 0)
	if err != nil {
		return nil, err
	}
	at := map[penstock.Position]int{}
	for i, r := range recs {
		n := -1
		if len(r.Data) >= 8 {
			n = int(binary.BigEndian.Uint64(r.Data))
		}
		want := numberedEntry(n, max(0, len(r.Data)-8))
		switch {
		case r.Damaged:
			return nil, fmt.Errorf("positions %d to %d are damaged", r.First, r.Last)
		case r.Position != s.First()+penstock.Position(i):
			return nil, fmt.Errorf("position %d comes as record %d from %d on", r.Position, i, s.First())
		case !bytes.Equal(r.Data, want.Data) || !bytes.Equal(r.Digest, want.Digest):
			return nil, fmt.Errorf("position %d holds what nobody sent", r.Position)
		case len(held) > 0 && n <= held[len(held)-1]:
			return nil, fmt.Errorf("entry %d stands after entry %d", n, held[len(held)-1])
		case h.void[n]:
			return nil, fmt.Errorf("entry %d came back after it was refused and another was acknowledged", n)
		}
		held = append(held, n)
		at[r.Position] = n
	}
	return held, h.checkKept(s, at, held)
}

func (h history) checkKept(s *spool.Spool, at map[penstock.Position]int, held []int) error {
	for p, n := range h.acks {
		got, ok := at[p]
		if p < s.First() && p <= h.releasing {
			continue
		}
		if !ok || got != n {
			return fmt.Errorf("position %d was acknowledged with entry %d and holds %d (%v)", p, n, got, ok)
		}
	}
	for _, c := range h.calls {
		_, first := slices.BinarySearch(held, c.from)
		for n := c.from; n < c.to; n++ {
			if _, ok := slices.BinarySearch(held, n); ok != first && len(held) > 0 && held[0] <= c.from {
				return fmt.Errorf("the entries %d to %d of one call are not there together", c.from, c.to-1)
			}
		}
	}
	through, data, err := s.Snapshot()
	if penstock.CodeOf(err) == penstock.NotFound && h.snapshot == 0 {
		return nil
	}
	if err != nil || through < h.snapshot || string(data) != fmt.Sprintf("state at %d", through) {
		return fmt.Errorf("the snapshot is that through %d (%q), the last one written was through %d: %w", through, data, h.snapshot, err)
	}
	if s.First() > through+1 {
		return fmt.Errorf("the log starts at %d, the snapshot ends at %d", s.First(), through)
	}
	return nil
}

// choices are the states tried after each operation: in the short run nothing,
// all, and one of the torn ones in turn.
func choices(op int) []crashfs.Choice {
	var out []crashfs.Choice
	for _, tear := range []int{1, 512, 4096} {
		out = append(out, crashfs.Choice{Keep: crashfs.Half, Tear: tear})
		for seed := range uint64(3) {
			out = append(out, crashfs.Choice{Keep: crashfs.Seeded, Tear: tear, Seed: uint64(op)*3 + seed})
		}
	}
	if !torture() {
		out = out[op%len(out):][:1]
	}
	return append(out, crashfs.Choice{Keep: crashfs.None}, crashfs.Choice{Keep: crashfs.All})
}

// crashEverywhere crashes a journal after each operation in all the ways, and
// reports the first thing that is wrong.
func crashEverywhere(t testing.TB, fs *crashfs.FS, k *keyring.Keyring) error {
	var failed error
	images := 0
	fs.Sweep(0, func(p *crashfs.Point) bool {
		h := told(p.Marks)
		try := func(what string, after *crashfs.FS, killed bool) bool {
			images++
			held, err := h.check(options(after, k))
			if err == nil {
				err = h.again(after, k, held, killed, images)
			}
			if err != nil {
				failed = fmt.Errorf("crash after operation %d (%s), %s: %w", p.Op, p.Last, what, err)
			}
			return err == nil
		}
		for _, c := range choices(p.Op) {
			if !try(fmt.Sprintf("%+v", c), p.CrashRecorded(c), false) {
				return false
			}
		}
		return !torture() && p.Op%3 > 0 || try("killed", p.Kill(), true)
	})
	t.Logf("%d states of %d operations", images, fs.Ops())
	return failed
}

// again crashes the recovery itself: what a recovery gave must be what the next
// one gives, at any moment it is cut off. (What a killed process wrote and did
// not sync may still go in a power cut before the recovery is over.)
func (h history) again(fs *crashfs.FS, k *keyring.Keyring, held []int, killed bool, turn int) (failed error) {
	same := func(p *crashfs.Point, c crashfs.Choice, exact bool) bool {
		got, err := h.check(options(p.Crash(c), k))
		if err == nil && exact && !slices.Equal(got, held) {
			err = fmt.Errorf("it then holds %d entries, not %d", len(got), len(held))
		}
		if err != nil {
			failed = fmt.Errorf("crash after operation %d (%s) of the recovery, %+v: %w", p.Op, p.Last, c, err)
		}
		return err == nil
	}
	if !torture() && turn%8 != 0 {
		return nil
	}
	if !same(fs.Now(), crashfs.Choice{Keep: crashfs.None}, true) || !torture() && turn%96 != 0 {
		return failed
	}
	fs.Sweep(0, func(p *crashfs.Point) bool {
		return same(p, crashfs.Choice{Keep: crashfs.None}, !killed) && same(p, crashfs.Choice{Keep: crashfs.All}, true) &&
			same(p, crashfs.Choice{Keep: crashfs.Seeded, Tear: 512, Seed: uint64(turn)}, !killed)
	})
	return failed
}

// TestCrashAtEveryOperation: a power cut or a kill after any operation of any
// scenario loses nothing that was acknowledged, doubles and changes nothing, and
// brings back nothing that was refused before a later acknowledgement.
func TestCrashAtEveryOperation(t *testing.T) {
	k := newKeys(t)
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			fs := play(t, sc, k)
			if err := crashEverywhere(t, fs, k); err != nil {
				t.Fatal(err)
			}
			if bad := unsafe(fs); len(bad) > 0 {
				t.Fatalf("acknowledged too early:\n%s", bad)
			}
		})
	}
}

// unsafe returns the acknowledgements that came before the sync of their bytes
// or of the entry that names their file.
func unsafe(fs *crashfs.FS) []string {
	return fs.Unsafe(
		func(path string) bool { return bytes.HasSuffix([]byte(path), []byte(".seg")) },
		func(m any) bool { _, ok := m.(acked); return ok })
}

// TestTortureErrorAtEveryOperation: an error of any one operation, once or for ever,
// loses nothing that was acknowledged.
func TestTortureErrorAtEveryOperation(t *testing.T) {
	k := newKeys(t)
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			calls := play(t, sc, k).Calls()
			step := 1
			if !torture() {
				step = max(1, calls/8)
			}
			for skip := 0; skip < calls; skip += step {
				for _, f := range []crashfs.Fault{{Skip: skip}, {Skip: skip, Err: syscall.ENOSPC}, {Skip: skip, Kind: crashfs.Sync}} {
					fs := play(t, sc, k, f)
					fs.Heal()
					fs.SetCapacity(0)
					end := fs.Now()
					h := told(end.Marks)
					for _, after := range []*crashfs.FS{end.Crash(crashfs.Choice{}), end.Kill()} {
						if _, err := h.check(options(after, k)); err != nil {
							t.Fatalf("%+v: %v", f, err)
						}
					}
				}
			}
		})
	}
}
