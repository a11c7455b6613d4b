package amqp

import (
	"bufio"
	"encoding/binary"
	"net"
	"sync"
)

// The AMQP library keeps what the broker delivers in memory until it is taken, as
// much as comes.
const (
	readAhead    = 32 << 10 // bytes read from the network at once
	maxUntaken   = 4 << 20  // bytes of bodies that were read and not taken
	headerFrame  = 2        // kind of the frame that tells the size of a body
	frameHead    = 7        // kind, channel, size
	frameEnd     = 1
	bodySizeAt   = 4 // in the payload of a header frame, behind class and weight
	bodySizeEnds = bodySizeAt + 8
)

// ahead is a connection that reads no further while more bodies wait to be taken
// than may. One alone always passes.
type ahead struct {
	net.Conn
	in   *bufio.Reader
	left uint64 // bytes of the frame that is being read

	mu      sync.Mutex // guards everything below
	eased   *sync.Cond // a body was taken, or the connection is closed
	untaken uint64
	closed  bool
}

func newAhead(c net.Conn) *ahead {
	a := &ahead{Conn: c, in: bufio.NewReaderSize(c, readAhead)}
	a.eased = sync.NewCond(&a.mu)
	return a
}

// Read implements [net.Conn].
func (a *ahead) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if a.left == 0 {
		if err := a.nextFrame(); err != nil {
			return 0, err
		}
	}
	n, err := a.in.Read(b[:min(uint64(len(b)), a.left)])
	a.left -= uint64(n)
	return n, err
}

// nextFrame looks at the head of the next frame, and waits where a body comes for
// which there is no room.
func (a *ahead) nextFrame() error {
	head, err := a.in.Peek(frameHead)
	if err != nil {
		return err
	}
	size := uint64(binary.BigEndian.Uint32(head[3:]))
	if head[0] == headerFrame && size >= bodySizeEnds {
		if head, err = a.in.Peek(frameHead + bodySizeEnds); err != nil {
			return err
		}
		if err := a.enter(binary.BigEndian.Uint64(head[frameHead+bodySizeAt:])); err != nil {
			return err
		}
	}
	a.left = frameHead + size + frameEnd
	return nil
}

func (a *ahead) enter(body uint64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.untaken > 0 && a.untaken+body > maxUntaken && !a.closed {
		a.eased.Wait()
	}
	if a.closed {
		return net.ErrClosed
	}
	a.untaken += body
	return nil
}

// taken says that a body was taken out of the library.
func (a *ahead) taken(body int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.untaken -= min(uint64(body), a.untaken)
	a.eased.Broadcast()
}

// Close implements [net.Conn].
func (a *ahead) Close() error {
	a.mu.Lock()
	a.closed = true
	a.eased.Broadcast()
	a.mu.Unlock()
	return a.Conn.Close()
}
