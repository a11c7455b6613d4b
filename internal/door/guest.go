package door

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"
)

// ErrTooMany says that an address has too many connections before they showed who
// they are.
var ErrTooMany = errors.New("this address has more connections that did not show who they are than one may")

// Guest is a connection that was let in to its handshake.
type Guest struct {
	net.Conn
	door  *Doorman
	from  netip.Prefix
	first [1]byte
	given bool // first was read
	known bool // it has left, and departed
	past  bool // it has left
}

// Receive lets a connection in. It asks for a turn only when the other end has begun
// to speak, so that silent ones hold up nobody; patience is how long that may take. A
// guest has to depart. Without one the caller closes the connection.
func (d *Doorman) Receive(ctx context.Context, c net.Conn, patience time.Duration) (*Guest, error) {
	g := &Guest{Conn: c, door: d, from: origin(c)}
	if !d.arrive(g.from) {
		return nil, ErrTooMany
	}
	if err := g.enter(ctx, patience); err != nil {
		d.depart(g.from)
		return nil, err
	}
	return g, nil
}

func (g *Guest) enter(ctx context.Context, patience time.Duration) error {
	defer context.AfterFunc(ctx, func() { g.Conn.Close() })()
	if err := g.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.ReadFull(g.Conn, g.first[:]); err != nil {
		return err
	}
	if err := g.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	return g.door.enter(ctx, g.from)
}

// Leave says that the handshake is over: another may begin one.
func (g *Guest) Leave() {
	if !g.past {
		g.past = true
		g.door.leave(g.from)
	}
}

// Depart says that the other end has shown who it is, or is gone. It leaves, too. Nobody,
// nil, departs without a trace.
func (g *Guest) Depart() {
	if g == nil {
		return
	}
	g.Leave()
	if !g.known {
		g.known = true
		g.door.depart(g.from)
	}
}

// Read implements [net.Conn].
func (g *Guest) Read(p []byte) (int, error) {
	if !g.given && len(p) > 0 {
		g.given = true
		return copy(p, g.first[:]), nil
	}
	return g.Conn.Read(p)
}
