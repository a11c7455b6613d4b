package session_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/session"
)

// asked returns the pauses before each of the next heartbeats. The gateway, which is
// a round trip away, answers those that it is told to with the marks.
func asked(t *testing.T, s *session.Sender, last time.Time, count int, answered func(i int) bool) (pauses []time.Duration) {
	t.Helper()
	for now := s.Next(); len(pauses) < count; now = s.Next() {
		out, lost := s.Output(now, held)
		if lost {
			t.Fatalf("after the pauses %v the session is lost", pauses)
		}
		for _, f := range frames(t, out) {
			if f.Kind != link.KindHeartbeat {
				continue
			}
			pauses = append(pauses, now.Sub(last))
			if last = now; answered(len(pauses) - 1) {
				last = now.Add(trip)
				hear(t, s, last, ack(link.Ack{Accepted: 40, Committed: 39}))
			}
		}
	}
	return pauses
}

const trip = 100 * time.Millisecond

// TestTheSenderAsksForTheMark: the ack that tells what is committed may be lost.
func TestTheSenderAsksForTheMark(t *testing.T) {
	deliver := func(c session.SenderConfig, delay time.Duration) (*session.Sender, time.Time) {
		t.Helper()
		s := newSender(t, c, 0, link.Welcome{})
		now := start
		for seq := uint64(1); seq <= 40; seq++ {
			s.Offer(seq)
			wantSent(t, s, now, seq)
			now = now.Add(trip)
			hear(t, s, now, ack(link.Ack{Accepted: seq, Committed: seq - 1}))
			if seq == 40 {
				break
			}
			now = now.Add(delay)
			hear(t, s, now, ack(link.Ack{Accepted: seq, Committed: seq}))
		}
		return s, now
	}
	s, now := deliver(session.SenderConfig{Epoch: 7}, 300*time.Millisecond)
	mostly := func(i int) bool { return i >= 4 }
	pauses := asked(t, s, now, 7, mostly)
	if pauses[0] < 500*time.Millisecond || pauses[0] > 600*time.Millisecond {
		t.Fatalf("with a round trip of 100 ms and a record that takes 300 ms it asks after %v", pauses)
	}
	want := pauses[0]
	for i := 1; i < len(pauses); i++ {
		if i > 1 && !mostly(i-2) { // the last but one was not answered
			want += want / 4
		}
		if mostly(i - 1) {
			want *= 2
		}
		if pauses[i] != want {
			t.Errorf("before question %d there are %v, not %v", i, pauses[i], want)
		}
	}

	s, now = deliver(session.SenderConfig{Epoch: 7}, 300*time.Millisecond)
	hear(t, s, now, ack(link.Ack{Accepted: 40, Committed: 40}))
	never := func(int) bool { return false }
	if got := asked(t, s, now, 1, never); got[0] < 9*time.Second {
		t.Errorf("after everything is committed it asks after %v", got)
	}

	s, now = deliver(session.SenderConfig{Epoch: 7, Stream: true}, 300*time.Millisecond)
	if got := asked(t, s, now, 1, never); got[0] < 9*time.Second {
		t.Errorf("on a stream, which loses no ack, it asks after %v", got)
	}
}

// TestTheCommittedMarkArrives: with any loss, and at the default heartbeat, a
// question goes out within a minute of the one before until the mark is there.
func TestTheCommittedMarkArrives(t *testing.T) {
	var longest, quickly, all int
	rapid.Check(t, func(t *rapid.T) {
		loss := rapid.Float64Range(0, 0.9).Draw(t, "loss")
		delay := time.Duration(rapid.IntRange(1, 500).Draw(t, "delay")) * time.Millisecond
		w := newWorld(t, weather{loss: loss, duplicate: 0.1, reorder: 0.1, delay: delay, jitter: delay / 2}, rapid.Uint64().Draw(t, "seed"))
		w.lag = time.Duration(rapid.IntRange(10, 20_000).Draw(t, "lag")) * time.Millisecond
		w.heartbeat = time.Minute
		n := uint64(rapid.IntRange(1, 20).Draw(t, "reports"))
		w.after(0, w.start)
		w.after(0, w.commit)
		for range n {
			w.after(time.Millisecond, w.offer)
		}
		w.run(100*time.Hour, func() bool { return w.committed == n && w.sender.Waiting() == 0 })
		began, dropped := w.now, w.dropped
		w.run(100*time.Hour, func() bool { return w.forgotten == n })
		took, lost := w.now.Sub(began), w.dropped-dropped
		if most := time.Duration(lost+2) * (time.Minute + 4*delay); took > most {
			t.Fatalf("the mark came after %v, with %d frames lost: at most %v is right", took, lost, most)
		}
		longest, all = max(longest, int(took.Seconds())), all+1
		if took < 10*time.Second {
			quickly++
		}
	})
	t.Logf("%d of %d marks came within 10 s, the longest after %d s", quickly, all, longest)
}
