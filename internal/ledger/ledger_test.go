package ledger_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/ledger"
)

// place is a sequence identity of one controller.
type place struct {
	controller string
	epoch, seq uint64
}

// model is the ledger as maps: slow, obvious, and right.
type model struct {
	underWay map[place]*ledger.Claim
	prints   map[place]penstock.Fingerprint // of accepted reports
	refused  map[place]bool
	settled  map[place]bool
	books    map[string]*ledger.Books
}

func newModel() *model {
	return &model{
		underWay: map[place]*ledger.Claim{}, prints: map[place]penstock.Fingerprint{},
		refused: map[place]bool{}, settled: map[place]bool{}, books: map[string]*ledger.Books{},
	}
}

func (m *model) account(controller string) *ledger.Books {
	if m.books[controller] == nil {
		m.books[controller] = &ledger.Books{Rejected: map[penstock.Reason]uint64{}}
	}
	return m.books[controller]
}

// machine drives a ledger and the model through the same life: claims that
// commit or fail in the order of their claiming, settlements, refusals,
// snapshots.
type machine struct {
	ledger *ledger.Ledger
	model  *model
	queue  []flight // under way, oldest first
}

type flight struct {
	place place
	print penstock.Fingerprint
	claim *ledger.Claim
}

var limits = ledger.Limits{Gaps: 1000, Fingerprints: 1000, Keys: 4}

func drawPlace(t *rapid.T) place {
	return place{
		controller: rapid.SampledFrom([]string{"pump-1", "tank-2"}).Draw(t, "controller"),
		epoch:      rapid.Uint64Range(1, 2).Draw(t, "epoch"),
		seq:        rapid.Uint64Range(1, 12).Draw(t, "seq"),
	}
}

func (p place) identity() penstock.Identity { return penstock.SequenceIdentity(p.epoch, p.seq) }

// Send claims a report and holds the standing against the model's.
func (m *machine) Send(t *rapid.T) {
	p := drawPlace(t)
	print := penstock.Fingerprint(rapid.Uint64Range(1, 2).Draw(t, "print"))
	claim := m.ledger.Claim(p.controller, p.identity(), print)
	want, original := ledger.Fresh, m.model.underWay[p]
	known, accepted := m.model.prints[p]
	switch {
	case original != nil:
		for _, f := range m.queue {
			if f.place == p {
				known = f.print
			}
		}
		want = ledger.Repeated
	case accepted:
		want = ledger.Repeated
	case m.model.refused[p]:
		want = ledger.Refused
	}
	if want == ledger.Repeated && known != print {
		want = ledger.Different
	}
	if claim.Standing != want || claim.Original != original {
		t.Fatalf("%v: standing %d waiting for %p, want %d waiting for %p", p, claim.Standing, claim.Original, want, original)
	}
	if want == ledger.Fresh {
		m.model.underWay[p] = claim
		m.queue = append(m.queue, flight{p, print, claim})
	}
}

// Commit makes the oldest report under way durable.
func (m *machine) Commit(t *rapid.T) {
	if len(m.queue) == 0 {
		t.Skip("nothing under way")
	}
	f := m.queue[0]
	m.queue = m.queue[1:]
	delete(m.model.underWay, f.place)
	entry := ledger.Entry{Kind: ledger.EntryReport, Controller: f.place.controller, Identity: f.place.identity(), Fingerprint: f.print}
	books := m.model.account(f.place.controller)
	books.Received++
	books.Accepted++
	if rapid.Bool().Draw(t, "filtered") {
		entry.Kind = ledger.EntryFiltered
		books.Filtered++
		m.model.settled[f.place] = true
	} else {
		books.Waiting++
	}
	m.model.prints[f.place] = f.print
	m.apply(t, &entry)
}

// Fail releases everything under way, as a failed fsync does.
func (m *machine) Fail(*rapid.T) {
	for _, f := range m.queue {
		m.ledger.Release(f.claim)
		delete(m.model.underWay, f.place)
	}
	m.queue = nil
}

// Refuse books a refusal that fills the sequence.
func (m *machine) Refuse(t *rapid.T) {
	p := drawPlace(t)
	if m.model.underWay[p] != nil {
		t.Skip("under way")
	}
	books := m.model.account(p.controller)
	books.Received++
	books.Rejected[penstock.ReasonRange]++
	if _, accepted := m.model.prints[p]; !accepted {
		m.model.refused[p] = true
	}
	m.apply(t, &ledger.Entry{Kind: ledger.EntryRefused, Controller: p.controller, Identity: p.identity(), Reason: penstock.ReasonRange})
}

// Tally books duplicates and rejections.
func (m *machine) Tally(t *rapid.T) {
	p := drawPlace(t)
	books := m.model.account(p.controller)
	books.Received += 5
	books.Duplicate += 2
	books.Rejected[penstock.ReasonConflict] += 3
	m.apply(t, &ledger.Entry{Kind: ledger.EntryTally, Controller: p.controller, Duplicates: 2,
		Rejections: []ledger.Rejection{{Reason: penstock.ReasonConflict, Count: 3}}})
}

// Settle has the record store an accepted report.
func (m *machine) Settle(t *rapid.T) {
	p := drawPlace(t)
	if _, accepted := m.model.prints[p]; !accepted || m.model.settled[p] {
		t.Skip("nothing to settle")
	}
	m.model.settled[p] = true
	books := m.model.account(p.controller)
	books.Waiting--
	books.Stored++
	m.ledger.Settle(p.controller, p.identity(), penstock.Stored)
}

// Restart puts the ledger through a snapshot: what is under way is gone, and
// the count of waiting reports comes from a replay.
func (m *machine) Restart(t *rapid.T) {
	m.Fail(t)
	snapshot := m.ledger.AppendSnapshot(nil)
	restored, err := ledger.Restore(snapshot, limits)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(restored.AppendSnapshot(nil), snapshot) {
		t.Fatal("a restored ledger gives another snapshot")
	}
	waiting := map[string]uint64{}
	for p := range m.model.prints {
		if !m.model.settled[p] {
			waiting[p.controller]++
		}
	}
	restored.Recount(waiting)
	m.ledger = restored
}

// apply sends the entry through its format on disk.
func (m *machine) apply(t *rapid.T, e *ledger.Entry) {
	decoded, err := ledger.DecodeEntry(e.AppendBinary(nil))
	if err != nil {
		t.Fatal(err)
	}
	m.ledger.Apply(&decoded)
}

// Check holds books and marks against the model.
func (m *machine) Check(t *rapid.T) {
	for controller, want := range m.model.books {
		got, _ := m.ledger.Books(controller)
		if !got.Balanced() {
			t.Fatalf("%s: the books do not balance: %+v", controller, got)
		}
		if got.Received != want.Received || got.Accepted != want.Accepted || got.Duplicate != want.Duplicate ||
			got.Stored != want.Stored || got.Waiting != want.Waiting || got.Filtered != want.Filtered ||
			got.RejectedTotal() != want.RejectedTotal() {
			t.Fatalf("%s: books %+v, want %+v", controller, got, *want)
		}
		for epoch := uint64(1); epoch <= 2; epoch++ {
			accepted, committed := m.ledger.Marks(controller, epoch)
			wantAccepted, wantCommitted := m.model.marks(controller, epoch)
			if accepted.Seq != wantAccepted || committed.Seq != wantCommitted {
				t.Fatalf("%s epoch %d: marks %d and %d, want %d and %d", controller, epoch,
					accepted.Seq, committed.Seq, wantAccepted, wantCommitted)
			}
		}
	}
}

func (m *model) marks(controller string, epoch uint64) (accepted, committed uint64) {
	for seq := uint64(1); ; seq++ {
		p := place{controller, epoch, seq}
		if _, ok := m.prints[p]; !ok && !m.refused[p] {
			break
		}
		accepted = seq
	}
	for seq := uint64(1); m.settled[place{controller, epoch, seq}] || m.refused[place{controller, epoch, seq}]; seq++ {
		committed = seq
	}
	return accepted, committed
}

func TestLedgerAgainstMaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{ledger: ledger.New(limits), model: newModel()}
		t.Repeat(map[string]func(*rapid.T){
			"send": m.Send, "send again": m.Send, "commit": m.Commit, "commit more": m.Commit, "fail": m.Fail,
			"refuse": m.Refuse, "tally": m.Tally, "settle": m.Settle, "restart": m.Restart, "": m.Check,
		})
	})
}

func TestGapsAreBounded(t *testing.T) {
	l := ledger.New(ledger.Limits{Gaps: 3, Fingerprints: 8, Keys: 8})
	for seq := uint64(2); seq <= 8; seq += 2 { // 2, 4, 6, 8: the gaps before them make four spans
		accept(l, penstock.SequenceIdentity(1, seq), 1)
	}
	if got := l.Claim("pump-1", penstock.SequenceIdentity(1, 20), 1).Standing; got != ledger.TooSparse {
		t.Fatalf("one gap too many: standing %d", got)
	}
	for _, seq := range []uint64{9, 3, 1} {
		if got := l.Claim("pump-1", penstock.SequenceIdentity(1, seq), 1).Standing; got != ledger.Fresh {
			t.Fatalf("seq %d opens no gap: standing %d", seq, got)
		}
	}
}

func accept(l *ledger.Ledger, id penstock.Identity, print penstock.Fingerprint) {
	l.Apply(&ledger.Entry{Kind: ledger.EntryReport, Controller: "pump-1", Identity: id, Fingerprint: print})
}

func TestKeysAreRememberedInAWindow(t *testing.T) {
	l := ledger.New(ledger.Limits{Gaps: 1, Fingerprints: 1, Keys: 2})
	for _, key := range []string{"a", "b", "c"} {
		accept(l, penstock.KeyIdentity(key), 7)
	}
	for key, want := range map[string]ledger.Standing{"a": ledger.Fresh, "b": ledger.Repeated, "c": ledger.Repeated} {
		if got := l.Claim("pump-1", penstock.KeyIdentity(key), 7).Standing; got != want {
			t.Errorf("key %s: standing %d, want %d", key, got, want)
		}
	}
	if got := l.Claim("pump-1", penstock.KeyIdentity("c"), 8).Standing; got != ledger.Different {
		t.Errorf("another content: standing %d", got)
	}
}

func TestConflictIsToldWithinTheWindowOnly(t *testing.T) {
	l := ledger.New(ledger.Limits{Gaps: 8, Fingerprints: 2, Keys: 1})
	for seq := uint64(1); seq <= 3; seq++ {
		accept(l, penstock.SequenceIdentity(1, seq), 7)
	}
	for seq, want := range map[uint64]ledger.Standing{1: ledger.Repeated, 2: ledger.Different, 3: ledger.Different} {
		if got := l.Claim("pump-1", penstock.SequenceIdentity(1, seq), 8).Standing; got != want {
			t.Errorf("seq %d: standing %d, want %d", seq, got, want)
		}
	}
}

func TestDamagedReportIsAskedForAgain(t *testing.T) {
	l := ledger.New(limits)
	for seq := uint64(1); seq <= 3; seq++ {
		accept(l, penstock.SequenceIdentity(1, seq), 7)
	}
	damaged := ledger.Entry{Kind: ledger.EntryDamaged, Controller: "pump-1", Identity: penstock.SequenceIdentity(1, 2), Position: 2}
	l.Apply(&damaged)
	l.Apply(&damaged) // found again after a restart
	books, _ := l.Books("pump-1")
	if !books.Balanced() || books.Damaged != 1 || books.Waiting != 2 {
		t.Fatalf("books %+v", books)
	}
	if accepted, _ := l.Marks("pump-1", 1); accepted.Seq != 1 {
		t.Fatalf("accepted mark %d, want 1", accepted.Seq)
	}
	if got := l.Claim("pump-1", penstock.SequenceIdentity(1, 2), 7).Standing; got != ledger.Fresh {
		t.Fatalf("resend of the damaged report: standing %d", got)
	}
}

func TestLostFillsOnlyWhatIsMissing(t *testing.T) {
	l := ledger.New(limits)
	accept(l, penstock.SequenceIdentity(1, 1), 7)
	accept(l, penstock.SequenceIdentity(1, 3), 7)
	l.Apply(&ledger.Entry{Kind: ledger.EntryLost, Controller: "pump-1", Identity: penstock.SequenceIdentity(1, 1), Last: 5})
	accepted, committed := l.Marks("pump-1", 1)
	if accepted.Seq != 5 || committed.Seq != 0 {
		t.Fatalf("marks %d and %d, want 5 and 0: what is accepted is not yet settled", accepted.Seq, committed.Seq)
	}
	l.Settle("pump-1", penstock.SequenceIdentity(1, 1), penstock.Stored)
	l.Settle("pump-1", penstock.SequenceIdentity(1, 3), penstock.Stored)
	if _, committed = l.Marks("pump-1", 1); committed.Seq != 5 {
		t.Fatalf("committed watermark %d, want 5", committed.Seq)
	}
}

func TestMissingCountsEveryEpoch(t *testing.T) {
	l := ledger.New(limits)
	if n := l.Missing("pump-1"); n != 0 {
		t.Errorf("%d are missing of nobody", n)
	}
	for _, id := range []penstock.Identity{
		penstock.SequenceIdentity(1, 1), penstock.SequenceIdentity(1, 4), penstock.SequenceIdentity(2, 3), penstock.KeyIdentity("k"),
	} {
		accept(l, id, 7)
	}
	if n := l.Missing("pump-1"); n != 4 { // 1/2, 1/3, 2/1, 2/2
		t.Errorf("%d are missing, want 4", n)
	}
	l.Apply(&ledger.Entry{Kind: ledger.EntryLost, Controller: "pump-1", Identity: penstock.SequenceIdentity(1, 2), Last: 3})
	accept(l, penstock.SequenceIdentity(2, 1), 7)
	if n := l.Missing("pump-1"); n != 1 {
		t.Errorf("%d are missing, want 1: what is declared lost will not come", n)
	}
}

func TestLearnTakesTheRecordsWord(t *testing.T) {
	l := ledger.New(limits)
	var settled interval.Set
	settled.Add(1, 40)
	l.Learn("pump-1", 3, &settled, &interval.Set{})
	if got := l.Claim("pump-1", penstock.SequenceIdentity(3, 40), 1).Standing; got != ledger.Repeated {
		t.Fatalf("standing %d, want repeated", got)
	}
	if _, committed := l.Marks("pump-1", 3); committed.Seq != 40 || l.LastEpoch("pump-1") != 3 {
		t.Fatalf("watermark %d in epoch %d", committed.Seq, l.LastEpoch("pump-1"))
	}
}

// TestLearnOfRefusals has another node refuse numbers, of which this one has accepted one
// and has one under way.
func TestLearnOfRefusals(t *testing.T) {
	l := ledger.New(limits)
	accept(l, penstock.SequenceIdentity(1, 1), 1)
	accept(l, penstock.SequenceIdentity(1, 2), 2)
	l.Claim("pump-1", penstock.SequenceIdentity(1, 3), 3)
	var settled, refused interval.Set
	settled.Add(1, 1)
	refused.Add(2, 6)
	l.Learn("pump-1", 1, &settled, &refused)
	marks := func(wantAccepted, wantCommitted uint64) {
		t.Helper()
		if accepted, committed := l.Marks("pump-1", 1); accepted.Seq != wantAccepted || committed.Seq != wantCommitted {
			t.Errorf("marks %d and %d, want %d and %d", accepted.Seq, committed.Seq, wantAccepted, wantCommitted)
		}
	}
	marks(2, 1)
	l.Apply(&ledger.Entry{Kind: ledger.EntryReport, Controller: "pump-1", Identity: penstock.SequenceIdentity(1, 3), Fingerprint: 3})
	marks(6, 1)
	l.Settle("pump-1", penstock.SequenceIdentity(1, 2), penstock.Stored)
	marks(6, 2)
	l.Settle("pump-1", penstock.SequenceIdentity(1, 3), penstock.Stored)
	marks(6, 6)
	for seq, want := range map[uint64]ledger.Standing{1: ledger.Repeated, 3: ledger.Repeated, 5: ledger.Refused, 7: ledger.Fresh} {
		if got := l.Claim("pump-1", penstock.SequenceIdentity(1, seq), penstock.Fingerprint(seq)).Standing; got != want {
			t.Errorf("report %d: standing %d, want %d", seq, got, want)
		}
	}
}

func FuzzDecodeEntry(f *testing.F) {
	for _, e := range []ledger.Entry{
		{Kind: ledger.EntryReport, Controller: "pump-1", Identity: penstock.SequenceIdentity(1, 2), Fingerprint: 9},
		{Kind: ledger.EntryFiltered, Controller: "pump-1", Identity: penstock.KeyIdentity("k"), Fingerprint: 9},
		{Kind: ledger.EntryRefused, Controller: "p", Identity: penstock.SequenceIdentity(1, 2), Reason: penstock.ReasonType},
		{Kind: ledger.EntryLost, Controller: "p", Identity: penstock.SequenceIdentity(1, 2), Last: 4},
		{Kind: ledger.EntryTally, Duplicates: 3, Rejections: []ledger.Rejection{{Reason: penstock.ReasonChecksum, Count: 2}}},
		{Kind: ledger.EntryDamaged, Controller: "p", Position: 7},
	} {
		f.Add(e.AppendBinary(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ledger.DecodeEntry(b)
		if err != nil {
			return
		}
		again, err := ledger.DecodeEntry(e.AppendBinary(nil))
		if err != nil || !bytes.Equal(again.AppendBinary(nil), e.AppendBinary(nil)) {
			t.Fatalf("%+v is not the same after a round trip: %+v, %v", e, again, err)
		}
	})
}

func FuzzRestore(f *testing.F) {
	l := ledger.New(limits)
	accept(l, penstock.SequenceIdentity(1, 2), 7)
	accept(l, penstock.KeyIdentity("k"), 7)
	f.Add(l.AppendSnapshot(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ledger.Restore(b, limits)
		if err != nil {
			return
		}
		again, err := ledger.Restore(l.AppendSnapshot(nil), limits)
		if err != nil || !bytes.Equal(again.AppendSnapshot(nil), l.AppendSnapshot(nil)) {
			t.Fatalf("not the same after a round trip: %v", err)
		}
	})
}

func BenchmarkClaimAndApply(b *testing.B) {
	l := ledger.New(ledger.DefaultLimits())
	entry := ledger.Entry{Kind: ledger.EntryReport, Controller: "pump-1"}
	b.ReportAllocs()
	for seq := uint64(1); b.Loop(); seq++ {
		entry.Identity = penstock.SequenceIdentity(1, seq)
		entry.Fingerprint = penstock.Fingerprint(seq)
		l.Claim(entry.Controller, entry.Identity, entry.Fingerprint)
		l.Apply(&entry)
		l.Settle(entry.Controller, entry.Identity, penstock.Stored)
	}
}
