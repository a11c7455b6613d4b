package historian_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian"
	"github.com/penstock/penstock/internal/interval"
)

// model is what a historian must be, said with maps and slices.
type model struct {
	seen    map[string]bool // identities
	samples map[string][]penstock.Sample
	latest  map[string]penstock.Sample
	units   map[string]string
	answers map[penstock.Position]penstock.Settlement
	books   map[string]historian.Counters
	log     []penstock.Delivery // of all positions
	reports []*penstock.Report  // in it
	held    map[uint64]*penstock.Report
	next    uint64 // number in the quarantine
}

func newModel() *model {
	return &model{
		seen: map[string]bool{}, samples: map[string][]penstock.Sample{}, latest: map[string]penstock.Sample{},
		units: map[string]string{}, answers: map[penstock.Position]penstock.Settlement{}, books: map[string]historian.Counters{}, held: map[uint64]*penstock.Report{},
	}
}

func name(controller, point string) string { return controller + "/" + point }

// settle returns what the record must answer to the delivery.
func (m *model) settle(d penstock.Delivery) penstock.Settlement {
	if s, ok := m.answers[d.Position]; ok {
		return s
	}
	if d.Decision != nil {
		m.answers[d.Position] = m.decide(d.Decision)
		return m.answers[d.Position]
	}
	r := d.Report
	book := m.books[r.Controller]
	answer := penstock.Stored
	identity := r.Controller + " " + r.Identity.String()
	switch {
	case d.Hold != "" && (r.Identity.Form == penstock.Natural || !m.seen[identity]):
		answer = penstock.Quarantined
		m.seen[identity] = r.Identity.Form != penstock.Natural
		m.held[m.next] = r
		m.next++
	case r.Identity.Form == penstock.Natural:
		fresh := 0
		for _, s := range r.Samples {
			if m.natural(r.Controller, s, &book) {
				fresh++
			}
		}
		if fresh == 0 && len(r.Samples) > 0 {
			answer = penstock.StoredTwice
		}
	case m.seen[identity]:
		answer = penstock.StoredTwice
	default:
		m.seen[identity] = true
		for _, s := range r.Samples {
			m.store(r.Controller, s, &book)
		}
	}
	count(&book, answer)
	m.books[r.Controller] = book
	m.answers[d.Position] = answer
	return answer
}

func count(book *historian.Counters, answer penstock.Settlement) {
	switch answer {
	case penstock.Stored:
		book.Stored++
	case penstock.StoredTwice:
		book.StoredTwice++
	case penstock.Quarantined:
		book.Quarantined++
	case penstock.Discarded:
		book.Discarded++
	}
}

// decide does what a person decided about a report in quarantine.
func (m *model) decide(d *penstock.Decision) penstock.Settlement {
	r := m.held[d.Number]
	if r == nil || r.Controller != d.Controller {
		return penstock.Unchanged
	}
	delete(m.held, d.Number)
	book := m.books[r.Controller]
	answer := penstock.Discarded
	if d.Verb == penstock.Retry {
		answer = penstock.Stored
		fresh := 0
		for _, s := range r.Samples {
			if r.Identity.Form != penstock.Natural {
				m.store(r.Controller, s, &book)
			} else if m.natural(r.Controller, s, &book) {
				fresh++
			}
		}
		if r.Identity.Form == penstock.Natural && fresh == 0 && len(r.Samples) > 0 {
			answer = penstock.StoredTwice
		}
	}
	book.Quarantined--
	count(&book, answer)
	m.books[r.Controller] = book
	return answer
}

func (m *model) natural(controller string, s penstock.Sample, book *historian.Counters) bool {
	same, there := false, false
	for _, have := range m.samples[name(controller, s.Point)] {
		if have.SourceTime == s.SourceTime {
			there = true
			same = same || have.Value == s.Value && have.Status == s.Status && have.Native == s.Native
		}
	}
	if there && !same {
		book.Conflicts++
	}
	if !there {
		m.store(controller, s, book)
	}
	return !there
}

func (m *model) store(controller string, s penstock.Sample, book *historian.Counters) {
	key := name(controller, s.Point)
	if s.Unit != "" {
		m.units[key] = s.Unit
	}
	book.Samples++
	m.samples[key] = append(m.samples[key], s)
	if last, ok := m.latest[key]; !ok || s.SourceTime >= last.SourceTime {
		m.latest[key] = s
	}
}

// sorted returns the samples of a series as a query must.
func (m *model) sorted(key string) []penstock.Sample {
	out := slices.Clone(m.samples[key])
	slices.SortStableFunc(out, func(a, b penstock.Sample) int { return cmp.Compare(a.SourceTime, b.SourceTime) })
	for i := range out {
		out[i].Unit = m.units[key]
	}
	return out
}

// drawReport draws a report that may resend, collide, come late or change kind.
func drawReport(t *rapid.T, m *model) *penstock.Report {
	if len(m.reports) > 0 && rapid.IntRange(0, 4).Draw(t, "resend") == 0 {
		return m.reports[rapid.IntRange(0, len(m.reports)-1).Draw(t, "which")]
	}
	r := &penstock.Report{Controller: rapid.SampledFrom([]string{"pump", "tank", "valve"}).Draw(t, "controller")}
	switch penstock.IdentityForm(rapid.IntRange(0, 2).Draw(t, "form")) {
	case penstock.Sequence:
		r.Identity = penstock.SequenceIdentity(rapid.Uint64Range(1, 2).Draw(t, "epoch"), rapid.Uint64Range(1, 60).Draw(t, "seq"))
	case penstock.Keyed:
		r.Identity = penstock.KeyIdentity(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "key"))
	}
	base := start + rapid.SampledFrom([]int64{0, 1e9, 3600e9, 86400e9, 86399999999999, -86400e9}).Draw(t, "base")
	for range rapid.IntRange(0, 6).Draw(t, "samples") {
		point := rapid.SampledFrom([]string{"flow", "level", "on"}).Draw(t, "point")
		s := penstock.Sample{
			Point: point, Unit: "u",
			SourceTime: base + rapid.Int64Range(0, 8).Draw(t, "at")*rapid.SampledFrom([]int64{1, 1e6, 1e9}).Draw(t, "grid"),
			Flags:      penstock.SampleFlags(rapid.IntRange(0, 7).Draw(t, "flags")),
		}
		switch rapid.IntRange(0, 9).Draw(t, "value") {
		case 0:
			s.Status = penstock.Bad
		case 1:
			s.Value, s.Native = penstock.IntValue(rapid.Int64().Draw(t, "int")), 7
		case 2:
			s.Value = penstock.TextValue(rapid.SampledFrom([]string{"", "open", "zu"}).Draw(t, "text"))
		case 3:
			s.Value = penstock.BoolValue(rapid.Bool().Draw(t, "bool"))
		case 4:
			s.Value = penstock.BitsValue(penstock.Float64, rapid.Uint64().Draw(t, "bits"))
		default:
			s.Value = penstock.FloatValue(float64(rapid.IntRange(-50, 50).Draw(t, "decimal")) / 10)
		}
		r.Samples = append(r.Samples, s)
	}
	return r
}

// draw appends deliveries of new reports to the log of all reports.
func draw(t *rapid.T, m *model) []penstock.Delivery {
	var ds []penstock.Delivery
	for range rapid.IntRange(1, 12).Draw(t, "deliveries") {
		d := penstock.Delivery{Position: penstock.Position(len(m.log) + 1)}
		switch kind := rapid.IntRange(0, 7).Draw(t, "kind"); {
		case kind == 0 && m.next > 0:
			d.Decision = &penstock.Decision{
				Verb: penstock.Verb(rapid.IntRange(1, 2).Draw(t, "verb")), Number: rapid.Uint64Range(0, m.next).Draw(t, "number"),
				Controller: rapid.SampledFrom([]string{"pump", "tank", "valve"}).Draw(t, "whose"),
			}
			if r := m.held[d.Decision.Number]; r != nil {
				d.Decision.Controller = r.Controller
			}
		case kind == 1:
			d.Hold = "hold"
			fallthrough
		default:
			d.Report = drawReport(t, m)
			m.reports = append(m.reports, d.Report)
		}
		m.log = append(m.log, d)
		ds = append(ds, d)
	}
	return ds
}

// check compares everything that can be asked with the model.
func (m *model) check(t *rapid.T, b *bench) {
	got := map[string]bool{}
	for _, series := range b.Series(historian.Selector{Scope: penstock.Scope{"*"}}) {
		key := name(series.Controller, series.Point)
		got[key] = true
		want := m.sorted(key)
		i := 0
		for s, err := range b.Samples(context.Background(), series.ID, math.MinInt64, math.MaxInt64) {
			if err != nil {
				t.Fatal(err)
			}
			if i >= len(want) || s != want[i] {
				t.Fatalf("%s sample %d of %d: %+v, want %+v", key, i, len(want), s, want[min(i, len(want)-1)])
			}
			i++
		}
		if i != len(want) {
			t.Fatalf("%s has %d samples, want %d", key, i, len(want))
		}
		latest, _, err := b.Latest(context.Background(), series.ID)
		wanted := m.latest[key]
		wanted.Unit = m.units[key]
		if err != nil || latest != wanted {
			t.Fatalf("%s latest: %+v %v, want %+v", key, latest, err, wanted)
		}
		m.checkRange(t, b, series.ID, want)
	}
	for key := range m.samples {
		if !got[key] {
			t.Fatalf("%s is missing", key)
		}
	}
	for c, book := range b.Counters {
		if book != m.books[c] {
			t.Fatalf("books of %s: %+v, want %+v", c, book, m.books[c])
		}
	}
	m.checkHeld(t, b)
	settled := uint64(0)
	err := b.Settled(func(c string, epoch uint64, set *interval.Set) bool {
		settled += set.Count()
		for span := range set.All {
			for n := span.First; n <= span.Last; n++ {
				if !m.seen[c+" "+penstock.SequenceIdentity(epoch, n).String()] {
					t.Fatalf("%s %d/%d is settled and was never sent", c, epoch, n)
				}
			}
		}
		return true
	})
	sequences := uint64(0)
	for identity := range m.seen {
		var c string
		var epoch, seq uint64
		if !m.seen[identity] {
			continue
		}
		if n, _ := fmt.Sscanf(identity, "%s %d/%d", &c, &epoch, &seq); n == 3 {
			sequences++
		}
	}
	if err != nil || settled != sequences {
		t.Fatalf("%d sequence numbers are settled, want %d (%v)", settled, sequences, err)
	}
}

// checkHeld compares the quarantine.
func (m *model) checkHeld(t *rapid.T, b *bench) {
	held, err := b.Quarantined(context.Background(), 0, 1000)
	if err != nil || len(held) != len(m.held) {
		t.Fatalf("%d reports are in quarantine, want %d (%v)", len(held), len(m.held), err)
	}
	for _, q := range held {
		if want := m.held[q.Number]; want == nil || fmt.Sprint(*q.Report) != fmt.Sprint(*want) {
			t.Fatalf("number %d in quarantine is %+v, want %+v", q.Number, q.Report, want)
		}
	}
}

// checkRange asks for a part, its aggregates and its plot.
func (m *model) checkRange(t *rapid.T, b *bench, id historian.SeriesID, all []penstock.Sample) {
	from := start + rapid.Int64Range(-1e9, 5e9).Draw(t, "from")
	to := from + rapid.SampledFrom([]int64{1, 1e6, 4e9, 2 * 86400e9}).Draw(t, "length")
	var want []penstock.Sample
	for _, s := range all {
		if s.SourceTime >= from && s.SourceTime < to {
			want = append(want, s)
		}
	}
	var got []penstock.Sample
	for s, err := range b.Samples(context.Background(), id, from, to) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("[%d, %d): %+v, want %+v", from, to, got, want)
	}
	step := rapid.SampledFrom([]int64{1, 1e9, 3600e9}).Draw(t, "step")
	checkBuckets(t, b, id, [3]int64{from, to, step}, want)
	low, high := math.Inf(1), math.Inf(-1)
	seenLow, seenHigh := low, high
	for _, s := range want {
		if x, ok := s.Value.Number(); ok && !math.IsNaN(x) && !s.Status.IsBad() {
			low, high = min(low, x), max(high, x)
		}
	}
	last := int64(math.MinInt64)
	for s, err := range b.Plot(context.Background(), id, from, to, 10) {
		if err != nil || s.SourceTime < last {
			t.Fatalf("plot: %+v after %d, %v", s, last, err)
		}
		last = s.SourceTime
		if x, ok := s.Value.Number(); ok && !math.IsNaN(x) && !s.Status.IsBad() {
			seenLow, seenHigh = min(seenLow, x), max(seenHigh, x)
		}
	}
	if low != seenLow || high != seenHigh {
		t.Fatalf("a plot hides %v to %v behind %v to %v", low, high, seenLow, seenHigh)
	}
}

func checkBuckets(t *rapid.T, b *bench, id historian.SeriesID, q [3]int64, samples []penstock.Sample) {
	want := map[int64]historian.Bucket{}
	for _, s := range samples {
		at := s.SourceTime - (s.SourceTime%q[2]+q[2])%q[2]
		w := want[at]
		w.Start = at
		if s.Status.Worse(w.Worst) {
			w.Worst = s.Status
		}
		if x, ok := s.Value.Number(); ok && !math.IsNaN(x) && !s.Status.IsBad() {
			if w.Count == 0 {
				w.First, w.Min, w.Max = s.Value, x, x
			}
			w.Min, w.Max, w.Last, w.Sum, w.Count = min(w.Min, x), max(w.Max, x), s.Value, w.Sum+x, w.Count+1
		} else {
			w.Unusable++
		}
		want[at] = w
	}
	n := 0
	for got, err := range b.Aggregates(context.Background(), id, q[0], q[1], q[2]) {
		n++
		if w := want[got.Start]; err != nil || fmt.Sprint(got) != fmt.Sprint(w) { // a sum may be NaN
			t.Fatalf("bucket %+v, want %+v (%v)", got, w, err)
		}
	}
	if n != len(want) {
		t.Fatalf("%d buckets, want %d", n, len(want))
	}
}

func TestHistorianIsItsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel()
		o := historian.Options{HeadBytes: rapid.SampledFrom([]int{0, 300}).Draw(rt, "head"), Now: func() time.Time { return time.Unix(0, start).Add(72 * time.Hour) }}
		b := open(t, vfs.NewMem(), o)
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "do") {
			case 0:
				b = b.reopen(t)
			case 1:
				if err := b.Flush(context.Background()); err != nil {
					rt.Fatal(err)
				}
			case 2: // what is settled comes again
				from := rapid.IntRange(0, len(m.log)).Draw(rt, "again")
				settleBoth(rt, m, b, m.deliveries(from))
			default:
				settleBoth(rt, m, b, draw(rt, m))
			}
		}
		m.check(rt, b)
		b.close(t)
	})
}

func (m *model) deliveries(from int) []penstock.Delivery { return m.log[from:] }

func settleBoth(t *rapid.T, m *model, b *bench, ds []penstock.Delivery) {
	got, err := b.Settle(context.Background(), ds, penstock.Position(len(m.log)))
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range ds {
		if want := m.settle(d); got[i] != want {
			t.Fatalf("position %d (%+v): %v, want %v", d.Position, d, got[i], want)
		}
	}
}

// TestCrashLosesAndDoublesNothing cuts the power at random moments: what comes
// again from the position that the record names makes it whole.
func TestCrashLosesAndDoublesNothing(t *testing.T) {
	rapid.Check(t, crashes)
}

func crashes(rt *rapid.T) {
	m := newModel()
	o := historian.Options{HeadBytes: 400, Now: func() time.Time { return time.Unix(0, start).Add(72 * time.Hour) }}
	fs := vfs.NewCrashableMem()
	seed := rapid.Int64().Draw(rt, "seed")
	for range rapid.IntRange(1, 4).Draw(rt, "crashes") {
		b, err := tryOpen(fs, o)
		if err != nil {
			rt.Fatal(err)
		}
		answered := b.Through()
		settleBoth(rt, m, b, m.deliveries(int(answered)))
		var image *vfs.MemFS
		watch := make(chan struct{})
		moment := rapid.IntRange(0, 3).Draw(rt, "moment")
		go func() { // somewhere in what follows
			defer close(watch)
			for range moment * 200 {
				b.Through()
			}
			image = crashImage(fs, seed)
		}()
		for range rapid.IntRange(1, 4).Draw(rt, "settles") {
			settleBoth(rt, m, b, draw(rt, m))
		}
		<-watch
		if rapid.Bool().Draw(rt, "late") {
			image = crashImage(fs, seed)
		}
		if err := b.Historian.Close(); err != nil {
			rt.Fatal(err)
		}
		if err := b.store.Close(); err != nil {
			rt.Fatal(err)
		}
		fs = image
	}
	b, err := tryOpen(fs, o)
	if err != nil {
		rt.Fatal(err)
	}
	settleBoth(rt, m, b, m.deliveries(int(b.Through())))
	m.check(rt, b)
	if err := b.Historian.Close(); err != nil {
		rt.Fatal(err)
	}
	if err := b.store.Close(); err != nil {
		rt.Fatal(err)
	}
}

func crashImage(fs *vfs.MemFS, seed int64) *vfs.MemFS {
	return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(uint64(seed) % 101), RNG: rand.New(rand.NewPCG(uint64(seed), 1))})
}
