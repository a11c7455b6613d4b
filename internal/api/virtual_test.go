package api_test

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api"
)

// prepareInVirtualTime is prepare for a test in virtual time, which stands still while
// anything waits for a real network: connections are pipes in memory.
func prepareInVirtualTime(t *testing.T, change ...func(*api.Options)) (*gateway, *wires) {
	t.Helper()
	w := &wires{t: t, queue: make(chan net.Conn), closed: make(chan struct{})}
	return prepare(t, append(change, func(o *api.Options) {
		o.Listener.Close()
		o.Listener, o.Now = w, nil
	})...), w
}

// wires is a listener in memory.
type wires struct {
	t      *testing.T
	queue  chan net.Conn
	closed chan struct{}
	over   atomic.Bool
}

func (w *wires) connect() net.Conn {
	near, far := net.Pipe()
	w.queue <- addressed{far}
	return near
}

// Accept implements net.Listener.
func (w *wires) Accept() (net.Conn, error) {
	select {
	case c := <-w.queue:
		return c, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (w *wires) Close() error {
	if !w.over.Swap(true) {
		close(w.closed)
	}
	return nil
}

// Addr implements net.Listener.
func (w *wires) Addr() net.Addr { return loopback }

var loopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}

// addressed is a pipe that says it comes from somewhere.
type addressed struct{ net.Conn }

func (addressed) LocalAddr() net.Addr  { return loopback }
func (addressed) RemoteAddr() net.Addr { return loopback }

// secure agrees on TLS with the gateway.
func (g *gateway) secure(c net.Conn, protocols ...string) *tls.Conn {
	g.t.Helper()
	over := tls.Client(c, &tls.Config{RootCAs: g.roots, ServerName: "localhost", NextProtos: protocols})
	if err := over.Handshake(); err != nil {
		g.t.Fatal(err)
	}
	return over
}

// busyPipeline keeps each handler until the gate is open, also when nobody waits for it.
type busyPipeline struct {
	*fakePipeline
	gate     chan struct{}
	handlers atomic.Int32
}

// Submit implements [penstock.Handler].
func (p *busyPipeline) Submit(ctx context.Context, es []penstock.Envelope) penstock.Ticket {
	p.handlers.Add(1)
	<-p.gate
	return p.fakePipeline.Submit(ctx, es)
}
