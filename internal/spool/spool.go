package spool

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/spool/snapshot"
)

// Spool is an open log. Its methods are safe for concurrent use.
type Spool struct {
	core *core
	lock io.Closer
	work sync.WaitGroup // the writer and the preparer

	filing    sync.Mutex // held while snapshots are written and segments removed
	snapshots []snapshot.File
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
// the order of the log, with the first position or with an error; it must
// neither block nor close the spool. Until then entries and their bytes are the
// spool's, and from then on the caller's again.
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
		c.size += e.Size()
	}
	if limit := s.core.opt.maxCall(); c.size > limit {
		return penstock.Errorf(penstock.TooLarge, "entries that are kept together have at most %d bytes, these have %d", limit, c.size)
	}
	if len(entries) == 0 {
		return penstock.Errorf(penstock.Internal, "there is nothing to append")
	}
	return s.core.append(c)
}

// Durable returns the last durable position, First-1 when there is none.
func (s *Spool) Durable() penstock.Position {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	return s.core.log.durable
}

// First returns the position of the oldest entry that is kept.
func (s *Spool) First() penstock.Position {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	return s.core.log.segments[0].First
}

// Wait returns the last durable position when it is behind after, or an error
// when ctx ends or the spool is closed before.
func (s *Spool) Wait(ctx context.Context, after penstock.Position) (penstock.Position, error) {
	c := s.core
	for {
		c.mu.Lock()
		durable, changed, closed := c.log.durable, c.changed, c.closed
		c.mu.Unlock()
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

// State tells how the spool stands.
func (s *Spool) State() State {
	c := s.core
	c.mu.Lock()
	defer c.mu.Unlock()
	st := State{
		Why: c.trouble.err, Since: c.trouble.since,
		First: c.log.segments[0].First, Durable: c.log.durable,
		Used: c.log.used, Quota: c.quota, Segments: len(c.log.segments), Pending: c.pending,
	}
	switch {
	case c.closed:
		st.Health = Shut
	case c.trouble.err == nil:
	case penstock.CodeOf(c.trouble.err) == penstock.Full:
		st.Health = Refusing
	default:
		st.Health = Failed
	}
	return st
}

// CheckQuota returns an error of code [penstock.Invalid] for a quota that is too small
// for the segments of this process.
func (s *Spool) CheckQuota(bytes int64) error { return checkQuota(bytes, s.core.opt.SegmentBytes) }

// SetQuota says from now on how much the directory may hold, 0 for no limit. Nothing is
// deleted for it: entries are refused until there is room.
func (s *Spool) SetQuota(bytes int64) error {
	if err := s.CheckQuota(bytes); err != nil {
		return err
	}
	c := s.core
	c.mu.Lock()
	c.quota = bytes
	short := c.short != nil
	c.mu.Unlock()
	if short {
		c.request(false)
	}
	return nil
}

// SegmentBytes returns the size of a segment.
func (s *Spool) SegmentBytes() int64 { return s.core.opt.SegmentBytes }

// Closed tells whether the spool was closed.
func (s *Spool) Closed() bool {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	return s.core.closed
}

// Close writes what is queued, seals the log and releases its files. It is
// legal twice.
func (s *Spool) Close() error {
	c := s.core
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	c.mu.Unlock()
	if closed {
		return nil
	}
	close(c.stop)
	s.work.Wait()
	if p, _ := c.take(); p != nil {
		// It stays on the disk: its space lets the next process start on a full one.
		closeFile(c.opt.Log, p.file, p.path)
	}
	c.mu.Lock()
	c.announce()
	c.mu.Unlock()
	return s.lock.Close()
}
