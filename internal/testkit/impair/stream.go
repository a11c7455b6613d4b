package impair

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Stream is a way for bytes between two ends.
type Stream struct {
	ends     [2]io.ReadWriteCloser
	up, down *direction
	work     sync.WaitGroup
	stop     chan struct{}
	once     sync.Once
}

// NewStream joins two ends, at work until Close or until an end closes. Up is
// from a to b. It owns both ends.
func NewStream(a, b io.ReadWriteCloser, p Profile) *Stream {
	s := &Stream{ends: [2]io.ReadWriteCloser{a, b}, up: newDirection(p, 1), down: newDirection(p, 2), stop: make(chan struct{})}
	s.work.Go(func() { s.carry(s.up, a, b) })
	s.work.Go(func() { s.carry(s.down, b, a) })
	return s
}

// Set changes what happens from now on.
func (s *Stream) Set(p Profile) {
	s.up.set(p)
	s.down.set(p)
}

// Counts tells what was done from a to b, and back.
func (s *Stream) Counts() (up, down Counts) { return s.up.told(), s.down.told() }

// Close closes both ends.
func (s *Stream) Close() {
	s.end()
	s.work.Wait()
}

func (s *Stream) end() {
	s.once.Do(func() {
		close(s.stop)
		s.ends[0].Close()
		s.ends[1].Close()
	})
}

// carry moves bytes until an end closes. What a read brings is one chunk: on a
// line that is what the sender wrote at once, or several of it, as they merge.
func (s *Stream) carry(d *direction, from io.Reader, to io.Writer) {
	defer s.end()
	buf := make([]byte, 4<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		chunk, at := d.chunk(buf[:n])
		if !s.wait(time.Until(at)) {
			return
		}
		if _, err := to.Write(chunk); err != nil {
			return
		}
	}
}

// chunk returns what becomes of a chunk, and when it arrives.
func (d *direction) chunk(b []byte) ([]byte, time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.profile
	d.counts.Packets++
	d.counts.Bytes += uint64(len(b))
	at := d.due(time.Now(), len(b))
	if d.chance(p.Loss) {
		d.counts.Lost++
		return nil, at
	}
	var out []byte
	if d.chance(p.Noise) {
		for range 1 + d.rng.IntN(16) {
			out = append(out, byte(d.rng.Uint32()))
			d.counts.Noise++
		}
	}
	kept := len(b)
	if d.chance(p.Cut) {
		kept = d.rng.IntN(len(b))
		d.counts.Cutoff += uint64(len(b) - kept)
	}
	start := len(out)
	out = append(out, b[:kept]...)
	d.damage(out[start:])
	if d.chance(p.Duplicate) {
		d.counts.Duplicated++
		out = append(out, out[start:]...)
	}
	return out, at
}

func (s *Stream) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.stop:
		return false
	}
}

// TCP is a way for connections: each that comes is joined to one of the
// target's.
type TCP struct {
	listener net.Listener
	target   string
	work     sync.WaitGroup

	mu      sync.Mutex // guards everything below
	profile Profile
	count   uint64
	streams map[*Stream]bool
	closed  bool
}

// NewTCP returns a way to the target, at work until Close.
func NewTCP(target string, p Profile) (*TCP, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &TCP{listener: l, target: target, profile: p, streams: map[*Stream]bool{}}
	t.work.Go(t.accept)
	return t, nil
}

// Addr returns where clients connect to.
func (t *TCP) Addr() string { return t.listener.Addr().String() }

// Cut breaks every connection.
func (t *TCP) Cut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := range t.streams {
		s.end()
	}
}

// Close ends the way and its connections.
func (t *TCP) Close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.listener.Close()
	t.Cut()
	t.work.Wait()
}

func (t *TCP) accept() {
	for {
		c, err := t.listener.Accept()
		if err != nil {
			return
		}
		t.work.Go(func() { t.join(c) })
	}
}

// join carries one connection until it ends.
func (t *TCP) join(c net.Conn) {
	far, err := net.Dial("tcp", t.target)
	if err != nil {
		c.Close()
		return
	}
	t.mu.Lock()
	p := t.profile
	t.count++
	p.Seed += t.count
	s := NewStream(c, far, p)
	t.streams[s] = true
	if t.closed {
		s.end()
	}
	t.mu.Unlock()
	s.work.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.streams, s)
}

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) }
