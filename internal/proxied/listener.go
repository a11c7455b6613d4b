package proxied

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/penstock/penstock"
)

// Bounds of a listener. Balancers send the header with the first packet.
const (
	headerTime = 5 * time.Second
	lastTime   = time.Second // for headers, and for who takes connections, once the listener is closed
	maxOpening = 256         // connections whose header is awaited; more wait in the system's queue
)

// listener takes connections from another one, and reads the headers of balancers
// beside it.
type listener struct {
	net.Listener
	door    *Door
	ready   chan accepted
	places  chan struct{} // a place each for connections that are not handed over yet
	closing chan struct{} // closed when the listener is to end
	over    chan struct{} // closed when nothing will be handed over any more
	work    sync.WaitGroup

	mu      sync.Mutex // guards what follows
	begun   bool
	closed  bool
	opening map[net.Conn]bool // their header is awaited
}

// accepted is what Accept returns.
type accepted struct {
	conn net.Conn
	err  error
}

func newListener(l net.Listener, d *Door) *listener {
	return &listener{
		Listener: l, door: d, ready: make(chan accepted), places: make(chan struct{}, maxOpening),
		closing: make(chan struct{}), over: make(chan struct{}), opening: map[net.Conn]bool{},
	}
}

// Accept implements [net.Listener]. After Close it returns what had come before,
// and then [net.ErrClosed].
func (l *listener) Accept() (net.Conn, error) {
	if !l.begin() {
		return nil, net.ErrClosed
	}
	select {
	case a := <-l.ready:
		return a.conn, a.err
	case <-l.over:
		return nil, net.ErrClosed
	}
}

// begin starts the work with the first call of Accept: until then those who connect
// wait in the system's queue. It returns false when there is nothing to wait for.
func (l *listener) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.begun && !l.closed {
		l.begun = true
		l.work.Go(l.run)
	}
	return l.begun
}

// Close implements [net.Listener]. It returns when every connection was handed over
// or is closed; for that it waits a moment.
func (l *listener) Close() error {
	defer l.work.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	close(l.closing)
	for c := range l.opening {
		_ = c.SetReadDeadline(time.Now().Add(lastTime)) // it fails only when it has ended
	}
	return l.Listener.Close()
}

// run takes connections until the listener is closed, and waits for those whose
// header is still awaited.
func (l *listener) run() {
	defer close(l.over)
	var opening sync.WaitGroup
	defer opening.Wait()
	for {
		select {
		case l.places <- struct{}{}:
		case <-l.closing:
			return
		}
		c, err := l.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || !l.door.balances(c.RemoteAddr()) {
			l.hand(accepted{c, err})
			continue
		}
		opening.Go(func() { l.open(c) })
	}
}

// hand hands a connection or an error over, and gives its place back. Who is too late
// to be taken is closed.
func (l *listener) hand(a accepted) {
	defer func() { <-l.places }()
	select {
	case l.ready <- a:
		return
	case <-l.closing:
	}
	late := time.NewTimer(lastTime)
	defer late.Stop()
	select {
	case l.ready <- a:
	case <-late.C:
		if a.conn != nil {
			a.conn.Close()
		}
	}
}

// open reads the header of a balancer's connection and hands it over.
func (l *listener) open(c net.Conn) {
	l.await(c)
	opened, err := identify(c)
	l.arrived(c)
	if err == nil {
		err = c.SetReadDeadline(time.Time{})
	}
	if err == nil {
		l.hand(accepted{conn: opened})
		return
	}
	c.Close()
	<-l.places
	if !errors.Is(err, errNothing) {
		l.door.refuse(c.RemoteAddr(), err)
	}
}

// await sets the time of a header.
func (l *listener) await(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := headerTime
	if l.closed {
		limit = lastTime
	}
	_ = c.SetReadDeadline(time.Now().Add(limit)) // the read fails where this does
	l.opening[c] = true
}

func (l *listener) arrived(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.opening, c)
}

// identify reads the header. A connection of the balancer's own is nobody's business
// before it has a byte: most of them are health checks, and end here.
func identify(c net.Conn) (*conn, error) {
	h, err := ReadHeader(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, penstock.Errorf(penstock.Invalid, "no PROXY header came within %s: write send-proxy-v2 at the balancer", headerTime)
	}
	if err != nil {
		return nil, err
	}
	if h.Client.IsValid() {
		return &conn{Conn: c, client: net.TCPAddrFromAddrPort(h.Client)}, nil
	}
	own := &conn{Conn: c, client: c.RemoteAddr()}
	n, _ := c.Read(own.first[:]) // of an error the next read tells
	if n == 0 {
		return nil, errNothing
	}
	own.held = true
	return own, nil
}
