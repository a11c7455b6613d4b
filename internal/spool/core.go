package spool

import (
	"cmp"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/spool/inventory"
	"github.com/penstock/penstock/internal/spool/segment"
)

// core is what callers, readers, the writer and the preparer share.
type core struct {
	opt  Options
	flow gauges
	stop chan struct{} // closed by Close
	wake chan struct{} // tells the writer to look
	want chan bool     // asks the preparer for a segment; true: after a pause

	mu      sync.Mutex
	queue   []call        // not yet seen by the writer
	pending int64         // bytes of all calls whose done was not called
	log     log           // what readers may see
	ready   *prepared     // the next segment
	short   error         // why there is no next segment, when it cannot be made
	trouble trouble       // why entries are refused
	changed chan struct{} // closed and replaced when something durable came or the spool closed
	closed  bool
	quota   int64 // most that the directory may hold; 0 for no limit
}

func newCore(o Options) *core {
	return &core{opt: o, quota: o.QuotaBytes, flow: newGauges(o.Flow), stop: make(chan struct{}), wake: make(chan struct{}, 1), want: make(chan bool, 1), changed: make(chan struct{})}
}

// log is what is durable.
type log struct {
	segments []*member // in order; the last one is written to
	durable  penstock.Position
	used     int64 // bytes of all files
}

// member is a segment of the log.
type member struct {
	*segment.Segment
	end int64 // bytes in which frames may be read
}

// call is one Append.
type call struct {
	entries []Entry
	size    int64
	since   time.Time // when it was queued, where somebody wants to know
	done    func(penstock.Position, error)
}

// trouble is why the spool refuses entries; the zero value is none.
type trouble struct {
	err   error
	since time.Time
}

// path returns the path of a numbered file.
func (c *core) path(n uint64, s inventory.Suffix) string {
	return c.opt.FS.PathJoin(c.opt.Dir, inventory.Name(n, s))
}

// later adds the time to wait to an error.
func (c *core) later(err error) error {
	return &penstock.Error{Code: penstock.CodeOf(err), Text: err.Error(), Err: err, RetryAfter: c.opt.Retry}
}

// append queues a call.
func (c *core) append(call call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return penstock.Errorf(penstock.Closed, "the spool is closed")
	case c.trouble.err != nil:
		return c.later(c.trouble.err)
	case c.pending+call.size > c.opt.PendingBytes:
		return penstock.RetryLater(penstock.Full, c.opt.Retry, "too much waits for the disk")
	}
	if c.flow.on() {
		call.since = c.opt.Now()
		if c.pending == 0 {
			c.flow.waiting.Enter(c.flow.queue, call.since)
		}
	}
	c.pending += call.size
	c.queue = append(c.queue, call)
	select {
	case c.wake <- struct{}{}:
	default: // the writer will look anyway
	}
	return nil
}

// collect moves the queue behind held.
func (c *core) collect(held []call) []call {
	c.mu.Lock()
	defer c.mu.Unlock()
	held = append(held, c.queue...)
	clear(c.queue)
	c.queue = c.queue[:0]
	return held
}

// answer tells callers, each once. Their entries have positions from first on,
// unless err says that none has.
func (c *core) answer(calls []call, first penstock.Position, err error) {
	var size int64
	for i := range calls {
		size += calls[i].size
	}
	c.mu.Lock()
	c.pending -= size
	if c.pending > 0 && c.flow.on() {
		c.flow.waiting.Enter(c.flow.queue, c.opt.Now())
	} else {
		c.flow.waiting.Leave()
	}
	c.mu.Unlock()
	for _, call := range calls {
		if err != nil {
			call.done(0, err)
			continue
		}
		call.done(first, nil)
		first += penstock.Position(len(call.entries))
	}
}

// publish shows readers what is durable, in the newest segment up to byte end.
func (c *core) publish(end int64, durable penstock.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log.segments[len(c.log.segments)-1].end = end
	c.log.durable = durable
	c.announce()
}

// announce wakes those who wait. c.mu is held.
func (c *core) announce() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// refuse makes entries be refused until heal.
func (c *core) refuse(err error) {
	c.mu.Lock()
	fresh := c.trouble.err == nil
	if fresh {
		c.trouble.since = c.opt.Now()
	}
	c.trouble.err = err
	c.mu.Unlock()
	if fresh {
		c.opt.Log.Error("the spool refuses entries", "err", err)
	}
}

// heal ends a trouble.
func (c *core) heal() {
	c.mu.Lock()
	was := c.trouble
	c.trouble = trouble{}
	c.mu.Unlock()
	if was.err != nil {
		c.opt.Log.Info("the spool takes entries again", "after", c.opt.Now().Sub(was.since))
	}
}

// take returns the prepared segment, or why there is none; neither while one is
// being made.
func (c *core) take() (*prepared, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.ready; p != nil {
		c.ready = nil
		return p, nil
	}
	return nil, c.short
}

// request asks the preparer for a segment, after a pause when the last one failed.
func (c *core) request(pause bool) {
	select {
	case c.want <- pause:
	default: // it was asked already
	}
}

func (c *core) isReady() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ready != nil
}

func (c *core) addUsed(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log.used += n
}

// add makes a segment the newest of the log.
func (c *core) add(s *segment.Segment, end int64, durable penstock.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log.segments = append(c.log.segments, &member{Segment: s, end: end})
	c.log.durable = durable
}

// oldest returns the oldest segment when all its entries are at or below
// through and it is not written to.
func (c *core) oldest(through penstock.Position) *member {
	c.mu.Lock()
	defer c.mu.Unlock()
	segs := c.log.segments
	if len(segs) < 2 || segs[1].First > through+1 {
		return nil
	}
	return segs[0]
}

// forget takes a removed segment out of the log; its space may be what the
// preparer waits for.
func (c *core) forget(gone *member) {
	c.mu.Lock()
	c.log.segments = slices.DeleteFunc(c.log.segments, func(m *member) bool { return m == gone })
	c.log.used -= gone.Size
	short := c.short != nil
	c.mu.Unlock()
	if short {
		c.request(false)
	}
}

// view is what a reader may see of the segment that holds a position.
type view struct {
	seg    *segment.Segment
	end    int64             // bytes of it that may be read
	limit  penstock.Position // entries from here on are not this segment's, or not durable
	follow *segment.Segment  // the segment after it; nil while it is written to
}

// view finds the segment for a position; io.EOF when that is not durable yet.
func (c *core) view(p penstock.Position) (view, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	segs := c.log.segments
	if oldest := segs[0].First; p < oldest {
		return view{}, penstock.Errorf(penstock.NotFound, "position %d was released: the oldest is %d", p, oldest)
	}
	if p > c.log.durable {
		return view{}, io.EOF
	}
	// The last segment that starts at or before p: those before it with the same
	// first position hold nothing.
	i, _ := slices.BinarySearchFunc(segs, p+1, func(m *member, p penstock.Position) int { return cmp.Compare(m.First, p) })
	m := segs[i-1]
	if i == len(segs) {
		return view{seg: m.Segment, end: m.end, limit: c.log.durable + 1}, nil
	}
	return view{seg: m.Segment, end: m.end, limit: segs[i].First, follow: segs[i].Segment}, nil
}
