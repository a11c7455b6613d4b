package sinktest

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
)

// RecordBench is a store of its own, empty, for one test of an adapter, and what
// the test does to it.
type RecordBench struct {
	// Open returns a record of the node in the store: another node's, or that of
	// another process of the same node. The test closes it.
	Open func(t testing.TB, node func() sink.Node) penstock.Record
	// Stored returns every sample in the store. Units and flags are not compared.
	Stored func(t testing.TB) []Sample

	// Break makes the store unreachable until mend is called. Nil where store and
	// node share a disk.
	Break func(t testing.TB) (mend func())
	// CutCommit has the connection break at the next commit, which arrives at the
	// store or does not. Nil where there is no connection.
	CutCommit func(t testing.TB, arrives bool)
	// Save notes what the store holds; restore takes it back to that, as a failover to
	// a replica does that lacks the last transactions. Nil where none can happen.
	Save func(t testing.TB) (restore func())

	// Bad are reports of one controller each that pass every step and that this store
	// can never hold; none where it holds whatever passes.
	Bad []*penstock.Report
	// InOrder says that the record takes batches in the order of their positions only.
	InOrder bool
	// Alone says that the store serves one node, whose disk it shares: it is asked at
	// the start what it did with each report, and Resume need not tell.
	Alone bool
}

// RunRecord holds an adapter against what [penstock.Record] promises. Each case gets
// a bench of its own.
func RunRecord(t *testing.T, bench func(t testing.TB) RecordBench) {
	cases := []struct {
		name string
		run  func(*recordTest)
		// needs tells whether the bench has what the case is about.
		needs func(*RecordBench) bool
	}{
		{"stores every report once, every bit of it", (*recordTest).everything, nil},
		{"answers a batch that comes again as before", (*recordTest).again, nil},
		{"moves its place over positions without a report", (*recordTest).empty, nil},
		{"takes batches in any order", (*recordTest).anyOrder, func(b *RecordBench) bool { return !b.InOrder }},
		{"knows a duplicate by every form of identity", (*recordTest).identities, nil},
		{"keeps a bad report from failing its batch", (*recordTest).bad, func(b *RecordBench) bool { return len(b.Bad) > 0 }},
		{"keeps what a step holds in quarantine", (*recordTest).hold, nil},
		{"stores what a person retries, once", (*recordTest).retry, nil},
		{"gives up what a person discards", (*recordTest).discard, nil},
		{"settles nothing or all when it is cancelled", (*recordTest).cancelled, nil},
		{"says what it is while it is down, and goes on", (*recordTest).down, func(b *RecordBench) bool { return b.Break != nil }},
		{"finds out whether a commit arrived", (*recordTest).unknownCommit, func(b *RecordBench) bool { return b.CutCommit != nil }},
		{"is fed again after a failover", (*recordTest).failover, func(b *RecordBench) bool { return b.Save != nil }},
		{"goes on in the next process", (*recordTest).nextProcess, nil},
		{"fences an older process, a twin and an old copy", (*recordTest).fence, func(b *RecordBench) bool { return !b.Alone }},
		{"knows what came through another node", (*recordTest).otherNode, func(b *RecordBench) bool { return !b.Alone }},
		{"knows what holds no report at another node", (*recordTest).filled, func(b *RecordBench) bool { return !b.Alone }},
		{"forgets what nobody asks for", (*recordTest).forget, nil},
		{"closes twice", (*recordTest).closeTwice, nil},
		{"is its model", (*recordTest).model, nil},
	}
	for _, c := range cases {
		t.Run(strings.ReplaceAll(c.name, ",", ""), func(t *testing.T) {
			b := bench(t)
			if c.needs != nil && !c.needs(&b) {
				t.Log("the store cannot be in this case")
				return
			}
			c.run(&recordTest{T: t, RecordBench: b})
		})
	}
}

// recordTest is one case under way.
type recordTest struct {
	*testing.T
	RecordBench
}

// nodeOf returns a node whose last process has the id life.
func nodeOf(id string, lives ...sink.Life) func() sink.Node {
	return func() sink.Node { return sink.Node{ID: id, Name: id, Lives: lives} }
}

func firstLife() func() sink.Node { return nodeOf("node-a", sink.Life{ID: "life-1", First: 1}) }

// open opens the record and resumes it.
func (t *recordTest) open(node func() sink.Node) penstock.Record {
	t.Helper()
	r := t.Open(t, node)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	t.resume(r)
	return r
}

// resume returns the runs that are settled, as text.
func (t *recordTest) resume(r penstock.Record) string {
	t.Helper()
	runs, err := r.Resume(t.Context())
	if err != nil {
		t.Fatalf("resume: %v", err)
	}
	return runsOf(runs)
}

// runsOf joins adjoining runs: how a record cuts them is its own affair.
func runsOf(runs []penstock.Settled) string {
	slices.SortFunc(runs, func(a, b penstock.Settled) int { return int(int64(a.First) - int64(b.First)) })
	var parts []string
	for i := 0; i < len(runs); {
		first, last := runs[i].First, runs[i].Last
		for i++; i < len(runs) && runs[i].First <= last+1; i++ {
			last = max(last, runs[i].Last)
		}
		parts = append(parts, fmt.Sprintf("%d-%d", first, last))
	}
	return strings.Join(parts, " ")
}

// settle settles the batch and checks what became of each delivery.
func (t *recordTest) settle(r penstock.Record, b penstock.Batch, want ...penstock.Settlement) penstock.Receipt {
	t.Helper()
	receipt, err := r.Settle(t.Context(), b)
	if err != nil {
		t.Fatalf("settle %d to %d: %v", b.First, b.Last, err)
	}
	if !slices.Equal(receipt.Settlements, want) && (len(want) > 0 || len(receipt.Settlements) > 0) {
		t.Fatalf("settle %d to %d: %v, want %v", b.First, b.Last, receipt.Settlements, want)
	}
	return receipt
}

// stored checks that the store holds exactly the samples of the reports.
func (t *recordTest) stored(reports ...*penstock.Report) {
	t.Helper()
	var want []string
	for _, r := range reports {
		for _, s := range r.Samples {
			want = append(want, sampleText(Sample{r.Controller, s}))
		}
	}
	var got []string
	for _, s := range t.Stored(t) {
		got = append(got, sampleText(s))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("the store has\n\t%s\nand should have\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func sampleText(s Sample) string {
	return fmt.Sprintf("%s/%s at %d: %v %x %q status %x native %x", s.Controller, s.Point, s.SourceTime, s.Value.Kind(), bitsOf(s.Value), s.Value.Text(), uint32(s.Status), s.Native)
}

func bitsOf(v penstock.Value) uint64 {
	if v.Kind() == penstock.Text {
		return 0
	}
	return v.Bits()
}

// noon is the source time of the first report.
const noon = int64(1_767_268_800_000_000_000)

// report returns the report seq of a controller.
func report(controller string, seq uint64) *penstock.Report {
	at := noon + int64(seq)*int64(time.Second)
	return &penstock.Report{
		Controller: controller, Identity: penstock.SequenceIdentity(1, seq), Source: "test", Fingerprint: penstock.Fingerprint(seq),
		ReceivedTime: at, AcceptedTime: at,
		Samples: []penstock.Sample{
			{Point: "flow", SourceTime: at, Value: penstock.FloatValue(float64(seq) / 8)},
			{Point: "state", SourceTime: at, Value: penstock.TextValue(fmt.Sprint("s", seq))},
		},
	}
}

// reports returns the reports first to last of a controller.
func reports(controller string, first, last uint64) []*penstock.Report {
	var list []*penstock.Report
	for seq := first; seq <= last; seq++ {
		list = append(list, report(controller, seq))
	}
	return list
}

// batch puts the reports at positions from first on.
func batch(first penstock.Position, rs ...*penstock.Report) penstock.Batch {
	b := penstock.Batch{First: first, Last: first + penstock.Position(len(rs)) - 1}
	for i, r := range rs {
		b.Deliveries = append(b.Deliveries, penstock.Delivery{Position: first + penstock.Position(i), Report: r})
	}
	return b
}

// plain returns n times Stored.
func plain(n int) []penstock.Settlement {
	return slices.Repeat([]penstock.Settlement{penstock.Stored}, n)
}

func (t *recordTest) everything() {
	r := t.open(firstLife())
	values := []penstock.Value{
		penstock.FloatValue(math.Copysign(0, -1)), penstock.FloatValue(math.Inf(1)), penstock.BitsValue(penstock.Float64, 0x7ff8_0000_dead_beef),
		penstock.FloatValue(math.SmallestNonzeroFloat64), penstock.IntValue(math.MinInt64), penstock.IntValue(math.MaxInt64), penstock.UintValue(math.MaxUint64),
		penstock.UintValue(1 << 63), penstock.BoolValue(true), penstock.BoolValue(false), penstock.TextValue(""), penstock.TextValue("Ähre 'x\"\\ \t\n"),
	}
	whole := &penstock.Report{Controller: "Pumpe Ö'\"", Identity: penstock.SequenceIdentity(penstock.MaxSequence, penstock.MaxSequence), Fingerprint: math.MaxUint64}
	for i, v := range values {
		whole.Samples = append(whole.Samples, penstock.Sample{
			Point: fmt.Sprintf("a/b;%d", i), SourceTime: noon + int64(i), Value: v, Native: math.MaxUint32 - uint32(i), Unit: "m3/h",
		})
	}
	whole.Samples = append(whole.Samples, penstock.Sample{Point: "gone", SourceTime: noon, Status: penstock.Bad, Flags: penstock.GatewayClock})
	rs := append(reports("pump-1", 1, 40), whole, &penstock.Report{Controller: "pump-1", Identity: penstock.SequenceIdentity(1, 41)})
	t.settle(r, batch(1, rs[:20]...), plain(20)...)
	t.settle(r, batch(21, rs[20:]...), plain(len(rs)-20)...)
	t.stored(rs...)
	if got := t.resume(r); got != "1-42" {
		t.Fatalf("settled %s, want 1-42", got)
	}
}

func (t *recordTest) again() {
	r := t.open(firstLife())
	rs := reports("pump-1", 1, 5)
	rs = append(rs, rs[2]) // a true duplicate
	want := append(plain(5), penstock.StoredTwice)
	b := batch(1, rs...)
	for range 3 {
		t.settle(r, b, want...)
	}
	t.resume(r)
	t.settle(r, b, want...)
	// A batch may be cut in another way when it comes again.
	t.settle(r, batch(4, append(rs[3:], report("pump-1", 6))...), penstock.Stored, penstock.Stored, penstock.StoredTwice, penstock.Stored)
	t.stored(reports("pump-1", 1, 6)...)
	runs, err := r.Resume(t.Context())
	if err != nil || runsOf(runs) != "1-7" || !t.others(runs, map[penstock.Position]penstock.Settlement{6: penstock.StoredTwice}) {
		t.Fatalf("resume tells %v (%v), want 1-7 with StoredTwice at 6", runs, err)
	}
}

// others tells whether the runs tell of the settlements that are not Stored.
func (t *recordTest) others(runs []penstock.Settled, want map[penstock.Position]penstock.Settlement) bool {
	all := map[penstock.Position]penstock.Settlement{}
	for _, run := range runs {
		maps.Copy(all, run.Other)
	}
	for at, what := range want {
		if all[at] != what && !t.Alone {
			return false
		}
	}
	return true
}

func (t *recordTest) empty() {
	r := t.open(firstLife())
	t.settle(r, penstock.Batch{First: 1, Last: 9})
	b := batch(12, report("pump-1", 1))
	b.First, b.Last = 10, 20
	t.settle(r, b, penstock.Stored)
	if got := t.resume(r); got != "1-20" {
		t.Fatalf("settled %s, want 1-20", got)
	}
}

func (t *recordTest) anyOrder() {
	r := t.open(firstLife())
	rs := reports("pump-1", 1, 30)
	t.settle(r, batch(21, rs[20:]...), plain(10)...)
	t.settle(r, batch(1, rs[:5]...), plain(5)...)
	if got := t.resume(r); got != "1-5 21-30" {
		t.Fatalf("settled %s, want 1-5 21-30", got)
	}
	t.settle(r, batch(11, rs[10:20]...), plain(10)...)
	t.settle(r, batch(6, rs[5:25]...), plain(20)...)
	if got := t.resume(r); got != "1-30" {
		t.Fatalf("settled %s, want 1-30", got)
	}
	t.stored(rs...)
}

// down has the store fail for a while.
func (t *recordTest) down() {
	r := t.open(firstLife())
	t.settle(r, batch(1, reports("pump-1", 1, 3)...), plain(3)...)
	mend := t.Break(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := r.Settle(ctx, batch(4, reports("pump-1", 4, 6)...)); err == nil {
		t.Fatal("a store that is down settled a batch")
	} else if code := penstock.CodeOf(err); !code.Temporary() && ctx.Err() == nil {
		t.Errorf("a store that is down fails with code %s, which is not temporary: %v", code, err)
	}
	mend()
	t.settleOnce(r, batch(4, reports("pump-1", 4, 6)...))
	t.stored(reports("pump-1", 1, 6)...)
}

// settleOnce settles the batch after a failure: as the runner does, it asks first.
func (t *recordTest) settleOnce(r penstock.Record, b penstock.Batch) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		_, err := r.Resume(t.Context())
		if err == nil {
			_, err = r.Settle(t.Context(), b)
		}
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not come back: %v", err)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
}

func (t *recordTest) unknownCommit() {
	for i, arrives := range []bool{true, false, true} {
		r := t.open(firstLife())
		first := uint64(i)*10 + 1
		rs := reports("pump-1", first, first+9)
		t.CutCommit(t, arrives)
		if _, err := r.Settle(t.Context(), batch(penstock.Position(first), rs...)); err == nil {
			t.Fatal("the connection broke at the commit, and the batch was called settled")
		}
		want := fmt.Sprintf("1-%d", first+9)
		if !arrives {
			want = fmt.Sprintf("1-%d", first-1)
		}
		if got := t.resume(r); got != want {
			t.Fatalf("commit that arrived %t: settled %s, want %s", arrives, got, want)
		}
		t.settleOnce(r, batch(penstock.Position(first), rs...))
		t.stored(reports("pump-1", 1, first+9)...)
	}
}

// cancelled ends the context at once, and in the middle.
func (t *recordTest) cancelled() {
	r := t.open(firstLife())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Settle(ctx, batch(1, reports("pump-1", 1, 3)...)); err == nil {
		t.Fatal("a call whose context had ended settled a batch")
	}
	next := uint64(1)
	for i := range 8 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1<<i)*50*time.Microsecond)
		b := batch(penstock.Position(next), reports("pump-1", next, next+49)...)
		_, err := r.Settle(ctx, b)
		cancel()
		if err != nil {
			t.settleOnce(r, b)
		}
		next += 50
	}
	t.stored(reports("pump-1", 1, next-1)...)
}

func (t *recordTest) closeTwice() {
	r := t.Open(t, firstLife())
	t.resume(r)
	for range 2 {
		if err := r.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	if _, err := r.Settle(t.Context(), batch(1, report("pump-1", 1))); err == nil {
		t.Fatal("a closed record settled a batch")
	}
}

func (t *recordTest) forget() {
	r := t.open(firstLife())
	rs := append(reports("pump-1", 1, 4), report("pump-1", 2), report("pump-1", 3))
	t.settle(r, batch(1, rs...), append(plain(4), penstock.StoredTwice, penstock.StoredTwice)...)
	if err := r.Forget(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	runs, err := r.Resume(t.Context())
	if err != nil || runsOf(runs) != "1-6" || !t.others(runs, map[penstock.Position]penstock.Settlement{6: penstock.StoredTwice}) {
		t.Fatalf("after forgetting up to 5, resume tells %v (%v), want 1-6 with StoredTwice at 6", runs, err)
	}
	t.settle(r, batch(7, report("pump-1", 1)), penstock.StoredTwice)
	t.stored(reports("pump-1", 1, 4)...)
}
