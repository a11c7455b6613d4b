package apart

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/apart/wire"
)

// ask asks the node, and waits for its answer.
func (g *guest) ask(asked wire.Question, write func(*wire.Out)) (*wire.In, *os.File, error) {
	id, waiting := g.asked.Add(1), make(chan reply, 1)
	g.mu.Lock()
	if g.gone {
		g.mu.Unlock()
		return nil, nil, errGone
	}
	g.answers[id] = waiting
	g.mu.Unlock()
	var o wire.Out
	o.Uint(id)
	o.Uint(uint64(asked))
	write(&o)
	if err := g.conn.Send(wire.Ask, o); err != nil {
		g.mu.Lock()
		delete(g.answers, id)
		g.mu.Unlock()
		return nil, nil, err
	}
	r := <-waiting
	return r.in, r.file, r.err
}

// Authenticate implements [source.Authenticator].
func (g *guest) Authenticate(c penstock.Credential) (*penstock.Principal, error) {
	in, _, err := g.ask(wire.WhoIs, func(o *wire.Out) { o.Credential(c) })
	if err != nil {
		return nil, err
	}
	p := in.Principal()
	return p, in.Err()
}

// Key implements [source.Keys].
func (g *guest) Key(id uint64) ([]byte, *penstock.Principal, error) {
	in, _, err := g.ask(wire.KeyOf, func(o *wire.Out) { o.Uint(id) })
	if err != nil {
		return nil, nil, err
	}
	secret, p := in.Bytes(), in.Principal()
	return secret, p, in.Err()
}

// Marks implements [source.Books]. When the gateway is gone nothing is known.
func (g *guest) Marks(controller string, epoch uint64) source.Marks {
	in, _, err := g.ask(wire.MarksOf, func(o *wire.Out) { o.Text(controller); o.Uint(epoch) })
	if err != nil {
		return source.Marks{}
	}
	return source.Marks{Accepted: in.Uint(), Committed: in.Uint(), LastEpoch: in.Uint()}
}

// Meet implements [source.Newcomers].
func (g *guest) Meet(controller string, epoch uint64) error {
	_, _, err := g.ask(wire.Meet, func(o *wire.Out) { o.Text(controller); o.Uint(epoch) })
	return err
}

// Await implements [source.Newcomers]. The gateway bounds how long it waits.
func (g *guest) Await(_ context.Context, controller string, epoch uint64) error {
	_, _, err := g.ask(wire.Await, func(o *wire.Out) { o.Text(controller); o.Uint(epoch) })
	return err
}

// lets implements what Env says of Lets. When the gateway is gone nobody may.
func (g *guest) lets(at netip.Addr) bool {
	in, _, err := g.ask(wire.MayComeIn, func(o *wire.Out) { o.Text(at.String()) })
	return err == nil && in.Bool()
}

// listen implements what Env says of Listen. The gateway accepts, and gives away.
func (g *guest) listen(name, address string) (net.Listener, error) {
	in, _, err := g.ask(wire.Listen, func(o *wire.Out) { o.Text(name); o.Text(address) })
	if err != nil {
		return nil, err
	}
	l := &listener{guest: g, id: in.Uint(), address: in.Text(), closed: make(chan struct{})}
	return l, in.Err()
}

// listenPacket implements what Env says of ListenPacket.
func (g *guest) listenPacket(name, address string) (net.PacketConn, error) {
	_, file, err := g.ask(wire.ListenPacket, func(o *wire.Out) { o.Text(name); o.Text(address) })
	if err != nil {
		return nil, err
	}
	if file == nil {
		return nil, penstock.Errorf(penstock.Internal, "the gateway gave no socket for %s", name)
	}
	defer file.Close()
	return net.FilePacketConn(file)
}

// listener is one of the gateway's.
type listener struct {
	guest   *guest
	id      uint64
	address string
	once    sync.Once
	closed  chan struct{}
}

// Accept implements [net.Listener].
func (l *listener) Accept() (net.Conn, error) {
	_, file, err := l.guest.ask(wire.Accept, func(o *wire.Out) { o.Uint(l.id) })
	select {
	case <-l.closed:
		if file != nil {
			file.Close()
		}
		return nil, net.ErrClosed
	default:
	}
	if err != nil {
		return nil, err
	}
	if file == nil {
		return nil, penstock.Errorf(penstock.Internal, "the gateway gave no connection")
	}
	defer file.Close()
	return net.FileConn(file)
}

// Close implements [net.Listener].
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		var o wire.Out
		o.Uint(l.id)
		l.guest.say(wire.Unlisten, o)
	})
	return nil
}

// Addr implements [net.Listener].
func (l *listener) Addr() net.Addr {
	at, err := netip.ParseAddrPort(l.address)
	if err != nil {
		return &net.TCPAddr{}
	}
	return net.TCPAddrFromAddrPort(at)
}
