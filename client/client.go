package client

import (
	"context"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/client/internal/outbox"
)

// Client delivers the reports of one controller. It is safe for concurrent use.
type Client struct {
	o       Options
	gateway *url.URL
	box     *outbox.Outbox
	lock    *os.File
	wake    chan struct{} // told when there is something new to send
	stop    context.CancelFunc
	work    sync.WaitGroup

	mu        sync.Mutex // guards everything below
	changed   chan struct{}
	accepted  penstock.Mark
	committed penstock.Mark
	refused   map[penstock.Identity]error // the last few
	connected bool
	trouble   error
}

// maxRefused bounds the refusals that are remembered for those who wait.
const maxRefused = 1024

// Stats tell how a client stands.
type Stats struct {
	Connected bool          // a session is open; over HTTPS: the last request was answered
	Trouble   error         // why not, or what went wrong last
	Accepted  penstock.Mark // the gateway has every report up to here
	Committed penstock.Mark // the record has, and the outbox has forgotten them
	Waiting   uint64        // reports in the outbox
	Bytes     int64         // of the outbox on disk
	Dropped   uint64        // since Open: for want of room
	Damaged   uint64        // since Open: could not be read any more
}

// Open opens the outbox and begins to deliver what is in it. Errors have the code
// Invalid when an option is wrong, Conflict when another client has the directory.
// Close must be called.
func Open(o Options) (*Client, error) {
	gateway, err := o.check()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, penstock.Errorf(penstock.Unavailable, "the outbox: %w", err)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	c := &Client{
		o: o, gateway: gateway, lock: lock, wake: make(chan struct{}, 1), changed: make(chan struct{}), refused: map[penstock.Identity]error{},
	}
	run, largest, err := c.transport()
	if err == nil {
		c.box, err = outbox.Open(outbox.Options{
			Files: outbox.Directory(o.Dir), Controller: o.Controller, MaxBytes: o.MaxBytes, DropOldest: o.WhenFull == DropOldest,
			MaxReport: largest, NewEpoch: o.newEpoch, Log: o.Log,
		})
	}
	if err != nil {
		lock.Close()
		return nil, err
	}
	epoch, first, _, _ := c.box.Bounds()
	c.accepted = penstock.Mark{Epoch: epoch, Seq: first - 1}
	c.committed = c.accepted
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.work.Go(func() { run(ctx) })
	return c, nil
}

// Offer keeps a report of these samples and returns its identity when it is on
// the disk; the client delivers it from then on. A sample without a time gets the
// present one. Errors have the code Full when there is no room, Invalid or
// TooLarge when the report breaks a limit, Unavailable when the disk failed.
func (c *Client) Offer(samples ...penstock.Sample) (penstock.Identity, error) {
	if len(samples) == 0 {
		return penstock.Identity{}, penstock.Errorf(penstock.Invalid, "a report needs samples")
	}
	now := c.o.Now().UnixNano()
	timed := make([]penstock.Sample, len(samples))
	for i, s := range samples {
		if s.SourceTime == 0 {
			s.SourceTime = now
		}
		timed[i] = s
	}
	id, err := c.box.Append(timed)
	if err != nil {
		return penstock.Identity{}, err
	}
	select {
	case c.wake <- struct{}{}:
	default: // it was told already
	}
	return id, nil
}

// Send is Offer, and then Wait. When ctx ends first the report stays in the outbox
// and is delivered later all the same.
func (c *Client) Send(ctx context.Context, samples ...penstock.Sample) error {
	id, err := c.Offer(samples...)
	if err != nil {
		return err
	}
	return c.Wait(ctx, id)
}

// Wait returns nil when the gateway has the report, or its refusal, with the code
// Invalid. Otherwise it returns the error of ctx, or the code Closed.
func (c *Client) Wait(ctx context.Context, id penstock.Identity) error {
	for {
		c.mu.Lock()
		err, refused := c.refused[id]
		done := id.Epoch < c.accepted.Epoch || id.Epoch == c.accepted.Epoch && id.Seq <= c.accepted.Seq
		changed := c.changed
		c.mu.Unlock()
		switch {
		case refused:
			return err
		case done:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Stats tells how the client stands now.
func (c *Client) Stats() Stats {
	box := c.box.Stats()
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{
		Connected: c.connected, Trouble: c.trouble, Accepted: c.accepted, Committed: c.committed,
		Waiting: box.Waiting, Bytes: box.Bytes, Dropped: box.Dropped, Damaged: box.Damaged,
	}
}

// Close ends the delivery; what is in the outbox stays there for the next Open. It
// is legal twice.
func (c *Client) Close() error {
	c.stop()
	c.work.Wait()
	err := c.box.Close()
	c.lock.Close() // gives the lock up; there is nothing to do about an error
	return err
}

// transport returns what runs the delivery, and the bytes of the largest report
// that goes that way, 0 for the format's own limit.
func (c *Client) transport() (run func(context.Context), largest int, err error) {
	if c.gateway.Scheme == schemeHTTPS {
		return c.post, 0, nil
	}
	l, err := newLinkRunner(c)
	if err != nil {
		return nil, 0, err
	}
	return l.run, l.largestReport(), nil
}

// progress notes how far the gateway and the record are.
func (c *Client) progress(accepted, committed penstock.Mark) {
	c.box.Forget(committed.Epoch, committed.Seq)
	c.mu.Lock()
	defer c.mu.Unlock()
	if accepted == c.accepted && committed == c.committed {
		return
	}
	c.accepted, c.committed = accepted, committed
	c.tell()
}

// tell wakes who waits for a report. c.mu is held.
func (c *Client) tell() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// refuse notes that a report was refused for good.
func (c *Client) refuse(id penstock.Identity, reason penstock.Reason, text string) {
	c.o.Log.Warn("the gateway refused a report for good", "report", id.String(), "reason", reason, "text", text)
	if c.o.Refused != nil {
		c.o.Refused(id, reason, text)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.refused) >= maxRefused {
		clear(c.refused) // nobody waited for so many
	}
	c.refused[id] = penstock.Errorf(penstock.Invalid, "the gateway refused the report %v (%s): %s", id, reason, text)
	c.tell()
}

// state notes whether the gateway answers, and the trouble when it does not.
func (c *Client) state(connected bool, trouble error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if trouble != nil && (c.connected || c.trouble == nil) { // once an outage
		c.o.Log.Warn("the gateway cannot be reached, or does not answer; reports are kept", "gateway", c.gateway.Host, "error", trouble)
	}
	c.connected, c.trouble = connected, trouble
}

// sleep waits until d is over or ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
