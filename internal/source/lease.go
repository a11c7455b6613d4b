package source

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock/penstock"
)

// Lease says what the nodes that share a record agree on for an origin that one of
// them reads at a time.
type Lease struct {
	Name string // in the record: equal for the same origin on every node
	// Alone lets a node read without the lease while the record cannot be asked for
	// long: where it does no harm that two read, for a reading has the same identity
	// whoever made it.
	Alone bool
}

// Leases are in the record that nodes share.
type Leases interface {
	// Lease takes the lease of the name for ttl, or holds it for that much longer, and
	// tells whether this process has it. Code [penstock.Unsupported]: the record has no
	// leases.
	Lease(ctx context.Context, name string, ttl time.Duration) (held bool, err error)
	// Release gives the lease up, so that another process has it at once.
	Release(ctx context.Context, name string) error
}

// The times of leases, as parts of how long one lasts.
const (
	defaultLeaseFor = 10 * time.Second
	renewals        = 3 // attempts before a lease is over
	aloneAfter      = 3 // leases' time without an answer of the record
	firstAsk        = 200 * time.Millisecond
	releaseTime     = 2 * time.Second
)

// tenant reads an origin while it has the lease.
//
// Whoever has it when the record goes away reads on: without the record nobody else
// can take it, and what two nodes read in the same slot is stored once. A node that
// begins, or waits, while the record cannot be asked reads only where two may, and
// only after a while.
type tenant struct {
	lease  Lease
	leases Leases
	ttl    time.Duration
	now    func() time.Time
	log    *slog.Logger
	status Status

	heard   time.Time // when the record answered last, or the tenant began
	trouble bool      // the log has said that it does not answer
}

func (s *Set) tenant(w Spec, env Env) *tenant {
	t := &tenant{lease: *w.Lease, leases: s.Leases, ttl: s.LeaseFor, now: env.Now, log: env.Log, status: env.Status}
	if t.ttl == 0 {
		t.ttl = defaultLeaseFor
	}
	return t
}

// right is what a tenant may do.
type right uint8

const (
	wait    right = iota // another node has the lease, or nobody knows who
	hold                 // it has the lease, or there are none
	goAlone              // the record did not answer for long
)

// run reads whenever the node has the right to, until ctx ends.
func (t *tenant) run(ctx context.Context, read func(context.Context)) {
	defer t.release(context.WithoutCancel(ctx)) // also what a question took whose answer was not waited for
	t.heard = t.now()
	pause := firstAsk
	for ctx.Err() == nil {
		switch now := t.ask(ctx, wait); now {
		case wait:
			_ = Pause(ctx, pause) // ctx is looked at in any case
			pause = min(2*pause, t.ttl/renewals)
		case hold, goAlone:
			t.log.Info("this node reads the origin", "lease", t.lease.Name, "alone", now == goAlone)
			t.tenancy(ctx, now, read)
			pause = firstAsk
		}
	}
}

// tenancy reads until the right to it is lost.
func (t *tenant) tenancy(ctx context.Context, now right, read func(context.Context)) {
	inner, end := context.WithCancel(ctx)
	var reading sync.WaitGroup
	reading.Go(func() { read(inner) })
	for now != wait && Pause(ctx, t.ttl/renewals) == nil {
		now = t.ask(ctx, now)
	}
	end()
	reading.Wait()
	if ctx.Err() == nil {
		t.log.Info("another node reads the origin from now on", "lease", t.lease.Name)
		t.status.OK()
	}
}

// release gives the lease up, if the tenant has it.
func (t *tenant) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	if err := t.leases.Release(ctx, t.lease.Name); err != nil && penstock.CodeOf(err) != penstock.Unsupported {
		t.log.Warn("a lease could not be given up; another node has to wait until it is over", "lease", t.lease.Name, "lasts", t.ttl.String(), "error", err)
	}
}

// ask asks the record for the lease, and returns what the tenant, who had a right
// before, may do now.
func (t *tenant) ask(ctx context.Context, before right) right {
	within, cancel := context.WithTimeout(ctx, t.ttl/renewals)
	defer cancel()
	held, err := t.leases.Lease(within, t.lease.Name, t.ttl)
	if ctx.Err() != nil {
		return before
	}
	if penstock.CodeOf(err) == penstock.Unsupported {
		return hold
	}
	if err != nil {
		return t.unheard(before, err)
	}
	if t.heard = t.now(); t.trouble {
		t.trouble = false
		t.log.Info("the record answers again about a lease", "lease", t.lease.Name)
	}
	if held {
		return hold
	}
	if before == wait {
		t.status.OK() // to wait for another node is no trouble
	}
	return wait
}

// unheard returns what the tenant may do when the record did not answer.
func (t *tenant) unheard(before right, err error) right {
	silent := t.now().Sub(t.heard)
	if !t.trouble && silent > t.ttl {
		t.trouble = true
		t.log.Warn("the record does not answer about a lease; whoever read the origin goes on", "lease", t.lease.Name, "error", err)
	}
	switch {
	case before != wait:
		return before
	case t.lease.Alone && silent >= aloneAfter*t.ttl:
		return goAlone
	}
	return wait
}
