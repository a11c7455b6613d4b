package flow_test

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/flow"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func newBook() (*flow.Book, *clock) {
	c := &clock{time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)}
	return flow.New(flow.Options{Now: c.Now}), c
}

// What is told of a stage is true to a fifth, whatever it was told.
func TestQuantiles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		book, c := newBook()
		s := book.Stage("x", flow.Acknowledgement, "")
		var all []time.Duration
		var sum time.Duration
		for range 1 + random.IntN(300) {
			d := time.Duration(1) << (10 + random.IntN(25))
			d += time.Duration(random.Int64N(int64(d)))
			all, sum = append(all, d), sum+d
			s.Took(d, 3)
		}
		slices.Sort(all)
		c.now = c.now.Add(10 * time.Second)
		v := book.View().Stages[0]
		if v.Works != uint64(len(all)) || v.Reports != 3*v.Works || v.Mean != sum/time.Duration(len(all)) || v.Busy < sum.Seconds()/10-1e-9 || v.Busy > sum.Seconds()/10+1e-9 {
			t.Fatalf("%+v", v)
		}
		for q, got := range map[float64]time.Duration{0.5: v.P50, 0.99: v.P99} {
			want := all[int(q*float64(len(all)-1))]
			if got < want || float64(got) > 1.26*float64(want) {
				t.Fatalf("quantile %v is %v, not %v", q, got, want)
			}
		}
		most := uint64(0)
		for bound, n := range v.All.Below {
			below := uint64(0)
			for _, d := range all {
				if d.Seconds() < bound {
					below++
				}
			}
			if n != below {
				t.Fatalf("%d are below %v, not %d", n, bound, below)
			}
			most = max(most, n)
		}
		if most != v.Works {
			t.Fatalf("%d of %d are below the highest bound", most, v.Works)
		}
	}
}

func TestWindowAndSlowest(t *testing.T) {
	book, c := newBook()
	decode, sync := book.Stage("decode", flow.Acknowledgement, ""), book.Stage("sync", flow.Acknowledgement, "")
	settle := book.Stage("settle", flow.Delivery, "")
	if book.Stage("decode", flow.Delivery, "") != decode {
		t.Error("one name, two stages")
	}
	for range 30 {
		decode.Took(time.Second, 1)
		book.Tick()
		c.now = c.now.Add(5 * time.Second)
	}
	for range 3 {
		decode.Took(-time.Second, 1) // a clock that went back
		sync.Took(3*time.Millisecond, 10)
		settle.Took(time.Hour, 1)
	}
	v := book.View()
	if v.Window < 60*time.Second || v.Window > 80*time.Second || v.Stages[0].Works > 20 || v.Stages[0].All.Works != 33 {
		t.Errorf("%v: %+v", v.Window, v.Stages[0])
	}
	if v.Slowest[flow.Acknowledgement] != "decode" || v.Slowest[flow.Delivery] != "settle" {
		t.Errorf("%v", v.Slowest)
	}
	// What has not ended yet counts by its age.
	slot := book.Slot()
	slot.Enter(sync, c.now)
	c.now = c.now.Add(5 * time.Second)
	if v := book.View(); v.Slowest[flow.Acknowledgement] != "sync" || v.Stages[1].UnderWay != 1 || v.Stages[1].Oldest != 5*time.Second {
		t.Errorf("%+v", v)
	}
}

func TestLate(t *testing.T) {
	book, c := newBook()
	decode, settle := book.Stage("decode", flow.Acknowledgement, "pipeline.(*decode)."), book.Stage("settle", flow.Delivery, "")
	first, second := book.Slot(), book.Slot()
	first.Enter(settle, c.now)
	c.now = c.now.Add(time.Second)
	second.Enter(decode, c.now)
	c.now = c.now.Add(10 * time.Second)
	if late := book.Late(c.now); len(late) != 0 {
		t.Errorf("%+v", late)
	}
	c.now = c.now.Add(time.Millisecond)
	late := book.Late(c.now)
	if len(late) != 1 || late[0].Stage != decode || late[0].Age != 10*time.Second+time.Millisecond || !late[0].Still() || !late[0].Same(book.Late(c.now)[0]) {
		t.Fatalf("%+v", late)
	}
	second.Enter(decode, c.now)
	if late[0].Still() {
		t.Error("it moved and stands still")
	}
	c.now = c.now.Add(2 * time.Minute)
	if late := book.Late(c.now); len(late) != 2 || late[0].Stage != settle {
		t.Errorf("%+v", late)
	}
	first.Leave()
	second.Leave()
	if late := book.Late(c.now); len(late) != 0 {
		t.Errorf("%+v", late)
	}
}

// A slot whose owner is gone is forgotten.
func TestSlotOfWhoIsGone(t *testing.T) {
	book, c := newBook()
	type worker struct{ buffer [64]byte }
	decode := book.Stage("decode", flow.Acknowledgement, "")
	slot := flow.SlotOf(book, &worker{})
	slot.Enter(decode, c.now)
	c.now = c.now.Add(time.Minute)
	testkit.Eventually(t, func() bool { runtime.GC(); return len(book.Late(c.now)) == 0 }, "the slot is forgotten")
}

func TestNobodyWantsToKnow(t *testing.T) {
	var book *flow.Book
	s := book.Stage("x", flow.Aside, "")
	slot := book.Slot()
	slot.Enter(s, time.Now())
	s.Took(time.Second, 1)
	slot.Leave()
	flow.SlotOf(book, new(int)).Leave()
	book.Step("x")(time.Second, 1)
}

func BenchmarkStage(b *testing.B) {
	book := flow.New(flow.Options{})
	s, slot := book.Stage("decode", flow.Acknowledgement, ""), book.Slot()
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		slot.Enter(s, now)
		s.Took(3*time.Microsecond, 100)
	}
}
