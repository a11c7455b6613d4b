// Package gate stands between a client and a server of a test, and shuts: for new
// connections, for answers, or for everything. What passes it passes unchanged.
package gate

import (
	"net"
	"sync"
	"testing"
)

// Gate is a way to one server.
type Gate struct {
	listener net.Listener
	to       string
	work     sync.WaitGroup

	mu     sync.Mutex // guards what follows
	eased  *sync.Cond // what passes has changed
	conns  map[net.Conn]bool
	broken bool
	still  bool // nothing is carried
	lose   bool // the next answer is not carried, and its connection ends
	closed bool
}

// New returns a gate to the server at an address, open until the test ends.
func New(t testing.TB, to string) *Gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &Gate{listener: l, to: to, conns: map[net.Conn]bool{}}
	g.eased = sync.NewCond(&g.mu)
	g.work.Go(g.accept)
	t.Cleanup(func() {
		l.Close()
		g.change(func() { g.closed = true })
		g.Cut()
		g.work.Wait()
	})
	return g
}

// Address returns where clients connect to.
func (g *Gate) Address() string { return g.listener.Addr().String() }

// Cut ends all connections.
func (g *Gate) Cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.conns {
		c.Close()
	}
}

// Break ends all connections, and new ones at once, until mend is called.
func (g *Gate) Break() (mend func()) {
	g.change(func() { g.broken = true })
	g.Cut()
	return func() { g.change(func() { g.broken = false }) }
}

// Stall carries nothing until release is called.
func (g *Gate) Stall() (release func()) {
	g.change(func() { g.still = true })
	return func() { g.change(func() { g.still = false }) }
}

// LoseAnswer drops what the server says next, and ends that connection.
func (g *Gate) LoseAnswer() { g.change(func() { g.lose = true }) }

func (g *Gate) change(what func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	what()
	g.eased.Broadcast()
}

func (g *Gate) accept() {
	for {
		client, err := g.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", g.to)
		if err != nil {
			client.Close()
			continue
		}
		if !g.enter(client, server) {
			client.Close()
			server.Close()
			continue
		}
		g.work.Go(func() { g.carry(server, client, false) })
		g.work.Go(func() { g.carry(client, server, true) })
	}
}

func (g *Gate) enter(client, server net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.broken || g.closed {
		return false
	}
	g.conns[client], g.conns[server] = true, true
	return true
}

func (g *Gate) carry(to, from net.Conn, answer bool) {
	defer func() {
		to.Close()
		from.Close()
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.conns, to)
		delete(g.conns, from)
	}()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if err != nil || !g.passes(answer) {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// passes waits while nothing is carried, and tells whether this is.
func (g *Gate) passes(answer bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.still && !g.closed {
		g.eased.Wait()
	}
	if answer && g.lose {
		g.lose = false
		return false
	}
	return !g.closed
}
