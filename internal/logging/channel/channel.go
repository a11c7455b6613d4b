package channel

import (
	"bytes"
	"context"
	"sync"
	"time"
)

// A Sender hands lines over. It is called by one goroutine.
type Sender interface {
	// Send returns when the line was handed over. After an error, or when ctx
	// ends, the same line comes again.
	Send(ctx context.Context, line []byte) error
	// Probe tells whether the place is there, and connects where it can. It is
	// called when there is nothing to send.
	Probe(ctx context.Context) error
	// Close releases what the sender holds.
	Close() error
}

// Status is told whether lines arrive. Its methods are not called concurrently.
type Status interface {
	OK()
	Failing(why string)
}

// Options are the bounds of a [Channel]. A bound of 0 is its default.
type Options struct {
	Lines int           // that may wait: 8,192
	Bytes int           // of them together: 4 MiB
	Probe time.Duration // how often an idle place is looked at: 2 s
	Retry time.Duration // the first pause after a failure, doubled up to 16 times as long: 500 ms
	Now   func() time.Time
}

// Channel is the queue in front of a [Sender]. It is safe for concurrent use.
type Channel struct {
	opt    Options
	sender Sender
	wake   chan struct{} // holds one when there is something new

	mu     sync.Mutex // guards what follows
	queue  [][]byte
	bytes  int
	state  State
	status Status // may be nil
}

// State is how a channel stands.
type State struct {
	Known   bool      // it was tried at least once
	Failing bool      // the place is away, or takes nothing
	Why     string    // of the last failure
	Since   time.Time // when it began to be as it is
	Sent    uint64    // lines handed over
	Dropped uint64    // lines that found the queue full
	Queued  int       // lines that wait
}

const slowest = 16 // times the first pause is the longest

// New returns a channel that begins to send when [Channel.Run] is called.
func New(s Sender, o Options) *Channel {
	for _, bound := range []struct {
		at *int
		to int
	}{{&o.Lines, 8 << 10}, {&o.Bytes, 4 << 20}} {
		if *bound.at == 0 {
			*bound.at = bound.to
		}
	}
	if o.Probe == 0 {
		o.Probe = 2 * time.Second
	}
	if o.Retry == 0 {
		o.Retry = 500 * time.Millisecond
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Channel{opt: o, sender: s, wake: make(chan struct{}, 1), state: State{Since: o.Now()}}
}

// Write queues a copy of a line, or drops and counts it when there is no room. It
// never waits and never fails.
func (c *Channel) Write(line []byte) (int, error) {
	c.mu.Lock()
	if len(c.queue) >= c.opt.Lines || c.bytes+len(line) > c.opt.Bytes {
		c.state.Dropped++
		c.mu.Unlock()
		return len(line), nil
	}
	c.queue = append(c.queue, bytes.Clone(line))
	c.bytes += len(line)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default: // it will look anyway
	}
	return len(line), nil
}

// State tells how the channel stands.
func (c *Channel) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.state
	s.Queued = len(c.queue)
	return s
}

// Watch has s told how the channel stands now and from now on.
func (c *Channel) Watch(s Status) {
	c.mu.Lock()
	c.status = s
	state := c.state
	c.mu.Unlock()
	if state.Known {
		tell(s, state)
	}
}

func tell(s Status, state State) {
	if state.Failing {
		s.Failing(state.Why)
		return
	}
	s.OK()
}

// note takes in how a try went. The status is told of changes, outside of the
// lock: it may log, and so write to this channel.
func (c *Channel) note(err error) {
	c.mu.Lock()
	failing := err != nil
	changed := !c.state.Known || c.state.Failing != failing
	if changed {
		c.state.Since = c.opt.Now()
	}
	c.state.Known, c.state.Failing, c.state.Why = true, failing, ""
	if failing {
		c.state.Why = err.Error()
	}
	status, state := c.status, c.state
	c.mu.Unlock()
	if changed && status != nil {
		tell(status, state)
	}
}

// Run sends until ctx ends, then tries once more to send what waits until last
// ends, and closes the sender.
func (c *Channel) Run(ctx, last context.Context) {
	defer func() { _ = c.sender.Close() }() // nothing more is to come
	probe := time.NewTicker(c.opt.Probe)
	defer probe.Stop()
	c.retry(ctx, c.sender.Probe(ctx))
	for ctx.Err() == nil {
		if err := c.empty(ctx); err != nil {
			c.retry(ctx, err)
			continue
		}
		select {
		case <-c.wake:
		case <-ctx.Done():
		case <-probe.C:
			if err := c.sender.Probe(ctx); err != nil && ctx.Err() == nil {
				c.retry(ctx, err)
			}
		}
	}
	_ = c.empty(last) // what cannot be sent now is gone with the process
}

// retry pauses and tries again until the place is there.
func (c *Channel) retry(ctx context.Context, err error) {
	for pause := c.opt.Retry; err != nil && ctx.Err() == nil; pause = min(2*pause, slowest*c.opt.Retry) {
		c.note(err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
			err = c.try(ctx)
		case <-ctx.Done():
			timer.Stop()
		}
	}
	if ctx.Err() == nil {
		c.note(nil)
	}
}

// try sends one line, or probes when none waits.
func (c *Channel) try(ctx context.Context) error {
	line, ok := c.first()
	if !ok {
		return c.sender.Probe(ctx)
	}
	err := c.sender.Send(ctx, line)
	if err == nil {
		c.sent(line)
	}
	return err
}

// empty sends what waits.
func (c *Channel) empty(ctx context.Context) error {
	for ctx.Err() == nil {
		line, ok := c.first()
		if !ok {
			return nil
		}
		if err := c.sender.Send(ctx, line); err != nil {
			return err
		}
		c.sent(line)
	}
	return nil
}

// first returns the line that waits longest.
func (c *Channel) first() ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		c.queue = nil // gives back the memory of a long queue
		return nil, false
	}
	return c.queue[0], true
}

// sent takes the first line out of the queue.
func (c *Channel) sent(line []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue[0] = nil
	c.queue = c.queue[1:]
	c.bytes -= len(line)
	c.state.Sent++
}
