package spool

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/penstock/penstock"
)

// Spool is an open log. Its methods are safe for concurrent use.
type Spool struct {
	opt  Options
	dir  directory
	lock io.Closer
	work sync.WaitGroup // the writer and the preparer
	stop chan struct{}  // closed by Close
	wake chan struct{}  // tells the writer to look
	want chan bool      // asks the preparer for a segment; true: after a pause

	filing    sync.Mutex // held while snapshots and segments are removed or made known
	snapshots []snapshot

	mu      sync.Mutex
	queue   []call        // not yet seen by the writer
	pending int64         // bytes of all calls whose done was not called
	log     log           // what readers may see
	ready   *prepared     // the next segment
	short   error         // why there is no next segment, when it cannot be made
	trouble trouble       // why entries are refused
	changed chan struct{} // closed and replaced when something durable came or the spool closed
	closed  bool

	writer writer // the writer goroutine's own
	fills  uint64 // files of zeros made; the preparer goroutine's own
}

// log is what is durable.
type log struct {
	segments []*segment // in order; the last one is written to
	durable  penstock.Position
	used     int64 // bytes of all files
}

// call is one Append.
type call struct {
	entries []Entry
	size    int64
	done    func(penstock.Position, error)
}

// trouble is why the spool refuses entries; the zero value is none.
type trouble struct {
	err   error
	since time.Time
}

// Health is how a spool stands.
type Health uint8

// The states of health.
const (
	Healthy  Health = iota // entries are taken
	Refusing               // no room: entries are refused until there is
	Failed                 // the disk failed: entries are refused until a new segment could be opened
	Shut                   // closed
)

// String returns the state's name.
func (h Health) String() string {
	return [...]string{"healthy", "refusing", "failed", "shut"}[h]
}

// State is how a spool stands and what it uses.
type State struct {
	Health   Health
	Why      error     // nil when healthy
	Since    time.Time // when the trouble began
	First    penstock.Position
	Durable  penstock.Position
	Used     int64 // bytes of all files
	Quota    int64 // 0 for none
	Segments int
	Pending  int64 // bytes that wait for their fsync
}

// Append queues entries and returns at once. They get consecutive positions in
// the order of the calls and become durable together: after a crash all of a
// call are there, or none. done is called exactly once, from one goroutine, in
// the order of the log, with the first position or with an error; it must not
// block. The spool keeps the bytes of the entries until then.
//
// An error means that nothing was queued and done will not be called: code
// [penstock.Full] or [penstock.Unavailable] with a time to wait,
// [penstock.TooLarge], [penstock.Closed].
func (s *Spool) Append(entries []Entry, done func(first penstock.Position, err error)) error {
	c := call{entries: entries, done: done}
	for _, e := range entries {
		if len(e.Digest) > MaxDigest {
			return penstock.Errorf(penstock.TooLarge, "a digest has at most %d bytes, this one has %d", MaxDigest, len(e.Digest))
		}
		c.size += entrySize(e)
	}
	if limit := s.opt.maxCall(); c.size > limit {
		return penstock.Errorf(penstock.TooLarge, "entries that are kept together have at most %d bytes, these have %d", limit, c.size)
	}
	if len(entries) == 0 {
		return penstock.Errorf(penstock.Internal, "there is nothing to append")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return penstock.Errorf(penstock.Closed, "the spool is closed")
	case s.trouble.err != nil:
		return s.later(s.trouble.err)
	case s.pending+c.size > s.opt.PendingBytes:
		return penstock.RetryLater(penstock.Full, s.opt.Retry, "too much waits for the disk")
	}
	s.pending += c.size
	s.queue = append(s.queue, c)
	signal(s.wake)
	return nil
}

// later adds the time to wait to an error.
func (s *Spool) later(err error) error {
	return &penstock.Error{Code: penstock.CodeOf(err), Text: err.Error(), Err: err, RetryAfter: s.opt.Retry}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Durable returns the last durable position, First-1 when there is none.
func (s *Spool) Durable() penstock.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.durable
}

// First returns the position of the oldest entry that is kept.
func (s *Spool) First() penstock.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.segments[0].first
}

// Wait returns the last durable position when it is behind after, or an error
// when ctx ends or the spool is closed before.
func (s *Spool) Wait(ctx context.Context, after penstock.Position) (penstock.Position, error) {
	for {
		s.mu.Lock()
		durable, changed, closed := s.log.durable, s.changed, s.closed
		s.mu.Unlock()
		if durable > after {
			return durable, nil
		}
		if closed {
			return durable, penstock.Errorf(penstock.Closed, "the spool is closed")
		}
		select {
		case <-ctx.Done():
			return durable, ctx.Err()
		case <-changed:
		}
	}
}

// announce wakes those who wait. s.mu is held.
func (s *Spool) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// State tells how the spool stands.
func (s *Spool) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := State{
		Why: s.trouble.err, Since: s.trouble.since,
		First: s.log.segments[0].first, Durable: s.log.durable,
		Used: s.log.used, Quota: s.opt.QuotaBytes, Segments: len(s.log.segments), Pending: s.pending,
	}
	switch {
	case s.closed:
		st.Health = Shut
	case penstock.CodeOf(s.trouble.err) == penstock.Full && s.trouble.err != nil:
		st.Health = Refusing
	case s.trouble.err != nil:
		st.Health = Failed
	}
	return st
}

func (s *Spool) addUsed(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.used += n
}

// Close writes what is queued, seals the log and releases its files. It is
// legal twice.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.stop)
	s.work.Wait()
	if p, _ := s.take(); p != nil {
		s.closeFile(p.file, p.path) // it stays: its space lets the next process start on a full disk
	}
	s.mu.Lock()
	s.announce()
	s.mu.Unlock()
	return s.lock.Close()
}

// Release removes the segments whose entries are all at or below through, as
// far as the last two snapshots cover them: the newer may turn out unreadable.
// Oldest first, each removal durable before the next, so that a gap in the
// segments always means that one is missing.
func (s *Spool) Release(through penstock.Position) error {
	s.filing.Lock()
	defer s.filing.Unlock()
	through = min(through, s.covered())
	for {
		old := s.oldest(through)
		if old == nil {
			return nil
		}
		if err := s.dir.fs.Remove(old.path); err != nil && !isMissing(err) {
			return diskError(err, "remove %s", old.path)
		}
		if err := s.dir.syncDir(s.dir.path); err != nil {
			return err
		}
		s.forget(old)
	}
}

// covered returns the position through which two readable snapshots stand.
func (s *Spool) covered() penstock.Position {
	readable := 0
	for i := len(s.snapshots) - 1; i >= 0; i-- {
		if s.snapshots[i].err == nil {
			if readable++; readable == keptSnapshots {
				return s.snapshots[i].through
			}
		}
	}
	return 0
}

// oldest returns the oldest segment when all its entries are at or below
// through and it is not written to.
func (s *Spool) oldest(through penstock.Position) *segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	segs := s.log.segments
	if len(segs) < 2 || segs[1].first > through+1 {
		return nil
	}
	return segs[0]
}

// forget takes a removed segment out of the log.
func (s *Spool) forget(gone *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := make([]*segment, 0, len(s.log.segments))
	for _, seg := range s.log.segments {
		if seg != gone {
			kept = append(kept, seg)
		}
	}
	s.log.segments = kept
	s.log.used -= gone.size
	if s.short != nil {
		signalWant(s.want, false)
	}
}

func signalWant(c chan bool, pause bool) {
	select {
	case c <- pause:
	default:
	}
}
