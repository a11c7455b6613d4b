package framed

import (
	"io"
	"sync"
	"time"
)

// stillTime is how long a connection brings no frame before another may have its
// place.
const stillTime = 10 * time.Second

// places are the connections of a listener: a limited number. When all are taken, a
// newcomer gets the place of the connection that brought no frame for longest, if
// that is long enough; so who holds places and says nothing keeps no device out.
type places struct {
	limit int
	still time.Duration

	mu    sync.Mutex // guards all, and what is in them
	taken map[*place]bool
}

// place is that of one connection.
type place struct {
	of    *places // nil for a line or a connection that shares with nobody
	conn  io.Closer
	peer  string
	heard time.Time // when it connected, or its last good frame came
	busy  bool      // what it brought is being decided
}

func newPlaces(limit int, silence time.Duration) *places {
	return &places{limit: limit, still: min(stillTime, silence/2), taken: map[*place]bool{}}
}

// enter gives a connection a place, nil when there is none. It returns the one that
// had to make room, if any, whose connection the caller closes.
func (p *places) enter(now time.Time, conn io.Closer, peer string) (mine, gone *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.taken) >= p.limit {
		for at := range p.taken {
			if !at.busy && now.Sub(at.heard) >= p.still && (gone == nil || at.heard.Before(gone.heard)) {
				gone = at
			}
		}
		if gone == nil {
			return nil, nil
		}
		delete(p.taken, gone)
	}
	mine = &place{of: p, conn: conn, peer: peer, heard: now}
	p.taken[mine] = true
	return mine, gone
}

// leave gives the place back.
func (a *place) leave() {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	delete(a.of.taken, a)
}

// begin says that a good frame came, and waits for its decision.
func (a *place) begin(now time.Time) { a.set(now, true) }

// end says that everything that came is decided.
func (a *place) end(now time.Time) { a.set(now, false) }

func (a *place) set(now time.Time, busy bool) {
	if a.of == nil {
		return
	}
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	a.heard, a.busy = now, busy
}
