package syslog

import "testing"

// Anybody can send datagrams: what waits is bounded by number and by bytes, and
// room that was taken comes back.
func TestTheQueueHasABudget(t *testing.T) {
	for name, c := range map[string]struct{ size, room int }{
		"small": {100, maxQueued},
		"large": {maxDatagram, maxQueuedBytes / maxDatagram},
	} {
		t.Run(name, func(t *testing.T) {
			q, d := &queue{waiting: make(chan datagram, maxQueued)}, datagram{bytes: make([]byte, c.size)}
			for range 2 {
				n := 0
				for n <= maxQueued && q.put(d) {
					n++
				}
				if n != c.room {
					t.Fatalf("room for %d, not for %d", n, c.room)
				}
				for range n {
					q.taken(<-q.waiting)
				}
			}
		})
	}
}
