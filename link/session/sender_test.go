package session_test

import (
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/session"
)

// newSender returns a sender that holds reports up to newest, connected and open.
func newSender(t *testing.T, c session.SenderConfig, newest uint64, w link.Welcome) *session.Sender {
	t.Helper()
	c.Controller, c.Rand = controller, func() uint64 { return 0 }
	if c.Largest == 0 {
		c.Largest = 600
	}
	s := session.NewSender(c, newest, 0)
	s.Connected(start)
	if out, _ := s.Output(start, held); len(frames(t, out)) != 1 || frames(t, out)[0].Kind != link.KindHello {
		t.Fatalf("the first word is %x", out)
	}
	hear(t, s, start, welcome(w))
	return s
}

func welcome(w link.Welcome) []byte {
	w.Version, w.Epoch, w.Window, w.Largest, w.Heartbeat = 1, max(w.Epoch, 7), max(w.Window, 10_000), max(w.Largest, 600), 10*time.Second
	return w.Append(nil, link.Header{})
}

// held is an outbox that has everything.
func held(seq uint64, hollow bool) []byte {
	if hollow {
		return encode(seq, -1)
	}
	return encode(seq, 1)
}

func hear(t *testing.T, s *session.Sender, now time.Time, frame []byte) session.Event {
	t.Helper()
	e, err := s.Receive(now, in(t, frame))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// sentNow returns the numbers of the reports that go out now, and whether each is empty.
func sentNow(t *testing.T, s *session.Sender, now time.Time) (seqs []uint64, empty []bool) {
	t.Helper()
	out, _ := s.Output(now, held)
	for _, f := range frames(t, out) {
		if f.Kind != link.KindData {
			continue
		}
		for rest := f.Payload; len(rest) > 0; {
			var r penstock.Report
			next, err := new(link.Decoder).Decode(rest, &r)
			if err != nil {
				t.Fatal(err)
			}
			seqs, empty = append(seqs, r.Identity.Seq), append(empty, len(r.Samples) == 0)
			rest = next
		}
	}
	return seqs, empty
}

func wantSent(t *testing.T, s *session.Sender, now time.Time, want ...uint64) {
	t.Helper()
	got, _ := sentNow(t, s, now)
	if len(got) != len(want) {
		t.Fatalf("after %v: sent %v, want %v", now.Sub(start), got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("after %v: sent %v, want %v", now.Sub(start), got, want)
		}
	}
}

func ack(m link.Ack) []byte {
	m.Epoch, m.Window = 7, max(m.Window, 10_000)
	return m.Append(nil, link.Header{})
}

func refuse(seq uint64, verdict link.Disposition, retry time.Duration) []byte {
	m := link.Refusal{Epoch: 7, Seq: seq, Verdict: verdict, Reason: "range", Retry: retry}
	return m.Append(nil, link.Header{})
}

// TestAnotherNodeGetsWhatIsNotCommitted: the accepted mark belongs to one gateway.
func TestAnotherNodeGetsWhatIsNotCommitted(t *testing.T) {
	s := newSender(t, session.SenderConfig{Epoch: 7, Stream: true}, 5, link.Welcome{})
	wantSent(t, s, start, 1, 2, 3, 4, 5)
	hear(t, s, start, ack(link.Ack{Accepted: 5, Committed: 2}))
	if s.Committed() != 2 || s.Waiting() != 0 {
		t.Errorf("committed %d, waiting %d", s.Committed(), s.Waiting())
	}
	s.Disconnected()
	s.Connected(start)
	if _, lost := s.Output(start, held); lost {
		t.Error("lost")
	}
	if e := hear(t, s, start, welcome(link.Welcome{Accepted: 3, Committed: 1})); e.Welcome == nil || e.Committed {
		t.Errorf("welcome: %+v", e)
	}
	wantSent(t, s, start, 4, 5)
	if s.Committed() != 2 {
		t.Errorf("the committed mark stepped back to %d", s.Committed())
	}
}

func TestARefusedReportGoesItsWay(t *testing.T) {
	s := newSender(t, session.SenderConfig{Epoch: 7, Stream: true}, 3, link.Welcome{})
	wantSent(t, s, start, 1, 2, 3)
	if e := hear(t, s, start, refuse(1, link.Later, 5*time.Second)); e.Refusal == nil || e.Refusal.Seq != 1 {
		t.Errorf("%+v", e)
	}
	hear(t, s, start, refuse(2, link.Settled, 0))
	hear(t, s, start, refuse(3, link.Hollow, 0))
	got, empty := sentNow(t, s, start)
	if len(got) != 1 || got[0] != 3 || !empty[0] {
		t.Fatalf("after the refusals %v goes, empty %v", got, empty)
	}
	if e := hear(t, s, start, refuse(3, link.Hollow, 0)); e.Refusal.Verdict != link.Settled {
		t.Errorf("an empty report that is refused: %+v", e.Refusal)
	}
	wantSent(t, s, start.Add(4*time.Second))
	if next := s.Next(); !next.Equal(start.Add(5 * time.Second)) {
		t.Errorf("the next thing is due after %v", next.Sub(start))
	}
	wantSent(t, s, start.Add(5*time.Second), 1)
}

func TestLossIsSeenInTheGaps(t *testing.T) {
	s := newSender(t, session.SenderConfig{Epoch: 7}, 1, link.Welcome{})
	wantSent(t, s, start, 1)
	at := start.Add(100 * time.Millisecond)
	hear(t, s, at, ack(link.Ack{Accepted: 1}))
	s.Offer(2)
	wantSent(t, s, at, 2)
	at = at.Add(300 * time.Millisecond)
	s.Offer(3)
	m := link.Ack{Accepted: 1, Count: 1}
	m.Ranges[0] = link.Range{First: 3, Last: 3}
	// 2 is resent by its timeout, which doubles nothing as long as acks come.
	if got, _ := sentNow(t, s, at); len(got) != 2 {
		t.Fatalf("sent %v", got)
	}
	s.Offer(4)
	wantSent(t, s, at.Add(299*time.Millisecond), 4)
	m.Ranges[0] = link.Range{First: 3, Last: 4}
	hear(t, s, at.Add(399*time.Millisecond), ack(m))
	wantSent(t, s, at.Add(399*time.Millisecond), 2)
}

// TestSilenceSlowsTheSender: while nothing is heard, one frame goes, and ever more seldom.
func TestSilenceSlowsTheSender(t *testing.T) {
	s := newSender(t, session.SenderConfig{Epoch: 7, Largest: 100}, 500, link.Welcome{Largest: 100})
	first, _ := sentNow(t, s, start)
	if len(first) < 10 || len(first) > 30 {
		t.Errorf("%d reports went before the first ack", len(first))
	}
	var at []time.Duration
	for now := start; now.Before(start.Add(9 * time.Second)); now = now.Add(50 * time.Millisecond) {
		if got, _ := sentNow(t, s, now); len(got) > 0 {
			at = append(at, now.Sub(start))
			if len(got) > 2 {
				t.Errorf("after %v of silence %d reports go at once", now.Sub(start), len(got))
			}
		}
	}
	if len(at) < 2 || len(at) > 4 {
		t.Errorf("in 9 s of silence frames went after %v", at)
	}
}

func TestSilenceEndsTheSession(t *testing.T) {
	for _, stream := range []bool{false, true} {
		s := newSender(t, session.SenderConfig{Epoch: 7, Stream: stream}, 0, link.Welcome{})
		heartbeats := 0
		for now := start; now.Before(start.Add(30 * time.Second)); now = now.Add(time.Second) {
			out, lost := s.Output(now, held)
			if lost {
				t.Fatalf("lost after %v", now.Sub(start))
			}
			for _, f := range frames(t, out) {
				if f.Kind == link.KindHeartbeat {
					heartbeats++
				}
			}
		}
		if heartbeats != 2 {
			t.Errorf("%d heartbeats in 29 s", heartbeats)
		}
		if _, lost := s.Output(start.Add(30*time.Second), held); !lost || s.Open() {
			t.Error("the session goes on")
		}
	}
}

func TestBackoffGrowsAndEnds(t *testing.T) {
	s := newSender(t, session.SenderConfig{Epoch: 7, Stream: true}, 1, link.Welcome{})
	want := 2 * time.Second // the hello took the first
	for range 7 {
		if got := s.Backoff(); got != want {
			t.Errorf("back-off %v, want %v", got, want)
		}
		want = min(2*want, time.Minute)
	}
	wantSent(t, s, start, 1)
	hear(t, s, start, ack(link.Ack{Accepted: 1}))
	if got := s.Backoff(); got != time.Second {
		t.Errorf("after an ack the back-off is %v", got)
	}
}

func TestARefusedSessionComesAgain(t *testing.T) {
	s := newSender(t, session.SenderConfig{Epoch: 7}, 1, link.Welcome{})
	m := link.Refusal{Session: true, Reason: "full", Retry: 90 * time.Second}
	if e := hear(t, s, start, m.Append(nil, link.Header{})); !e.Lost || s.Open() {
		t.Errorf("%+v", e)
	}
	if out, _ := s.Output(start.Add(89*time.Second), held); len(out) > 0 {
		t.Error("it comes again too early")
	}
	if out, _ := s.Output(start.Add(90*time.Second), held); len(frames(t, out)) != 1 {
		t.Error("it does not come again")
	}
}

func TestALostSequenceIsSeen(t *testing.T) {
	s := newSender(t, session.SenderConfig{Epoch: 7}, 3, link.Welcome{Accepted: 9})
	if s.Open() {
		t.Error("the session is open, although the gateway has later reports")
	}
	s = newSender(t, session.SenderConfig{Epoch: 7}, 3, link.Welcome{})
	if _, err := s.Receive(start, in(t, ack(link.Ack{Accepted: 4}))); link.FaultOf(err) != link.FaultPayload || s.Accepted() != 0 {
		t.Errorf("an ack of a report that was never sent: error %v, accepted %d", err, s.Accepted())
	}
}

func TestAStartWithoutMemoryAsksForTheEpoch(t *testing.T) {
	s := session.NewSender(session.SenderConfig{Controller: controller, Largest: 600, Rand: func() uint64 { return 0 }}, 0, 0)
	s.Connected(start)
	s.Output(start, held)
	w := link.Welcome{Version: 1, LastEpoch: 41, Time: start.UnixNano()}
	e := hear(t, s, start, w.Append(nil, link.Header{}))
	if want := uint64(start.UnixMilli()); e.Epoch != want || s.Epoch() != want {
		t.Errorf("the epoch is %d, want %d", e.Epoch, want)
	}
	out, _ := s.Output(start, held)
	var h link.Hello
	if all := frames(t, out); len(all) != 1 || h.Decode(all[0].Payload) != nil || h.Epoch != e.Epoch {
		t.Errorf("the second hello is %+v", h)
	}
}

func TestATurnIsKept(t *testing.T) {
	s := session.NewSender(session.SenderConfig{Controller: controller, Epoch: 7, Largest: 600, Polled: true, Rand: func() uint64 { return 0 }}, 100, 0)
	s.Connected(start)
	turn := func(budget uint64) (kinds []link.Kind, size int) {
		t.Helper()
		hear(t, s, start, (&link.Turn{Budget: budget}).Append(nil, link.Header{}))
		out, _ := s.Output(start, held)
		for _, f := range frames(t, out) {
			kinds = append(kinds, f.Kind)
			if n := len(f.Payload) + link.FrameOverhead; f.Kind == link.KindData {
				size += n + n/254 + 2
			}
		}
		return kinds, size
	}
	if out, _ := s.Output(start, held); len(out) > 0 {
		t.Fatal("it speaks outside its turn")
	}
	if kinds, _ := turn(500); len(kinds) != 2 || kinds[0] != link.KindHello || kinds[1] != link.KindOver {
		t.Fatalf("the first turn: %v", kinds)
	}
	hear(t, s, start, welcome(link.Welcome{}))
	for _, budget := range []uint64{40, 100, 300, 512} {
		kinds, size := turn(budget)
		if kinds[len(kinds)-1] != link.KindOver || size > int(budget) {
			t.Errorf("a turn of %d bytes: %v, %d bytes on the line", budget, kinds, size)
		}
		if budget >= 100 && size < int(budget)/2 {
			t.Errorf("a turn of %d bytes is used for %d", budget, size)
		}
	}
	if out, _ := s.Output(start, held); len(out) > 0 {
		t.Error("it speaks after its turn")
	}
}

func TestAReportThatFitsNoFrameIsNamed(t *testing.T) {
	s := newSender(t, session.SenderConfig{Epoch: 7, Stream: true, Largest: 20}, 2, link.Welcome{})
	wantSent(t, s, start)
	if s.Stuck() != 1 {
		t.Errorf("stuck is %d", s.Stuck())
	}
}

func TestTheRateOfTheLineIsKept(t *testing.T) {
	s := newSender(t, session.SenderConfig{Epoch: 7, Rate: 1000, Largest: 100}, 1000, link.Welcome{Window: 1 << 20})
	bytes := 0
	var seqs uint64
	for now := start; now.Before(start.Add(5 * time.Second)); now = now.Add(10 * time.Millisecond) {
		out, _ := s.Output(now, held)
		bytes += len(out)
		for _, f := range frames(t, out) {
			for rest := f.Payload; f.Kind == link.KindData && len(rest) > 0; seqs++ {
				h, err := link.ReadHead(rest)
				if err != nil {
					t.Fatal(err)
				}
				rest = rest[h.Size:]
			}
		}
		if len(out) > 0 {
			hear(t, s, now, ack(link.Ack{Accepted: seqs, Window: 1 << 20}))
		}
	}
	if bytes < 4500 || bytes > 5200 {
		t.Errorf("%d bytes went in 5 s at 1,000 bytes a second", bytes)
	}
}

// TestRefusalsOnTheWay has reports refused in every way while they are delivered.
func TestRefusalsOnTheWay(t *testing.T) {
	w := newWorld(t, weather{loss: 0.1, duplicate: 0.1, reorder: 0.1, delay: 50 * time.Millisecond, jitter: 50 * time.Millisecond}, 5)
	tried := map[uint64]int{}
	w.refuse = func(seq uint64) penstock.Reason {
		tried[seq]++
		switch {
		case seq%10 == 3:
			return penstock.ReasonRange
		case seq%10 == 5 && tried[seq] < 3:
			return penstock.ReasonLimited
		case seq%10 == 7:
			return penstock.ReasonMalformed
		}
		return ""
	}
	busy := 0
	w.busy = func() error {
		if busy++; busy%7 == 0 {
			return penstock.RetryLater(penstock.Full, time.Second, "the disk is full")
		}
		return nil
	}
	w.deliver(300, 20*time.Millisecond)
	if w.refusals < 60 {
		t.Errorf("%d refusals were heard", w.refusals)
	}
}

// TestALostAckDoesNotStretchTheTimeout: the ack of a resend covers what was sent
// long before it, whose own ack was lost. That says nothing of the way.
func TestALostAckDoesNotStretchTheTimeout(t *testing.T) {
	const trip = 20 * time.Millisecond
	s := newSender(t, session.SenderConfig{Epoch: 7}, 1, link.Welcome{})
	now, base := start, uint64(0)
	for range 20 { // the way is known
		s.Offer(base + 1)
		wantSent(t, s, now, base+1)
		base++
		now = now.Add(trip)
		hear(t, s, now, ack(link.Ack{Accepted: base}))
	}
	s.Offer(base + 10)
	if got, _ := sentNow(t, s, now); len(got) != 10 {
		t.Fatalf("%v went out", got)
	}
	now = s.Next() // their ack was lost
	if now.Sub(start) > 20*trip+250*time.Millisecond {
		t.Fatalf("the timeout comes after %v", now.Sub(start))
	}
	if got, _ := sentNow(t, s, now); len(got) == 0 || len(got) == 10 {
		t.Fatalf("%v went again, and not some of them", got)
	}
	base += 10
	now = now.Add(trip)
	hear(t, s, now, ack(link.Ack{Accepted: base}))
	s.Offer(base + 1)
	wantSent(t, s, now, base+1)
	if wait := s.Next().Sub(now); wait > 210*time.Millisecond {
		t.Errorf("after an ack was lost the sender waits %v for the next, with a round trip of %v", wait, trip)
	}
}

// TestALongerWayIsMeasured: what was thought lost too early and did not go again
// tells how long the way has become.
func TestALongerWayIsMeasured(t *testing.T) {
	s := newSender(t, session.SenderConfig{Epoch: 7}, 10, link.Welcome{})
	if got, _ := sentNow(t, s, start); len(got) != 10 {
		t.Fatalf("%v went out", got)
	}
	now := s.Next()
	again, _ := sentNow(t, s, now)
	if len(again) == 0 || len(again) == 10 {
		t.Fatalf("%v went again, and not some of them", again)
	}
	now = start.Add(3 * time.Second)
	top := again[len(again)-1]
	hear(t, s, now, ack(link.Ack{Accepted: top}))
	hear(t, s, now, ack(link.Ack{Accepted: 10}))
	s.Offer(11)
	wantSent(t, s, now, 11)
	if wait := s.Next().Sub(now); wait < 3*time.Second {
		t.Errorf("on a way of 3 s the sender waits %v", wait)
	}
}
