package memory

import (
	"context"
	"net"
	"time"

	"github.com/penstock/penstock"
)

// retryAfter is when a sender is to try again whose report was refused.
const retryAfter = 5 * time.Second

// Handler returns a handler that refuses envelopes with a time to try again while
// the guard is at [NoReports]. Nothing is judged or booked then: the sender keeps
// what it sent.
func (g *Guard) Handler(next penstock.Handler) penstock.Handler { return handler{g, next} }

type handler struct {
	guard *Guard
	next  penstock.Handler
}

// Submit implements penstock.Handler.
func (h handler) Submit(ctx context.Context, es []penstock.Envelope) penstock.Ticket {
	if h.guard.Level() < NoReports {
		return h.next.Submit(ctx, es)
	}
	t := make(refused, len(es))
	for i := range t {
		t[i].Err = penstock.RetryLater(penstock.Unavailable, retryAfter, "The gateway is short of memory and takes no reports for now.")
	}
	return t
}

// refused is the ticket of envelopes that were not judged.
type refused []penstock.Outcome

// Wait implements penstock.Ticket.
func (r refused) Wait(context.Context) ([]penstock.Outcome, error) { return r, nil }

// Listener returns a listener that closes new connections at once while the guard is
// at [NoNewcomers]: nobody knows yet whose they are.
func (g *Guard) Listener(l net.Listener) net.Listener { return listener{l, g} }

type listener struct {
	net.Listener
	guard *Guard
}

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || l.guard.Level() < NoNewcomers {
			return c, err
		}
		c.Close()
	}
}
