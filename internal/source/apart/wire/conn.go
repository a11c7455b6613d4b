package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/penstock/penstock"
)

// Limits of a connection.
const (
	MaxFrame   = 64 << 20 // bytes of a frame
	maxPending = 1 << 20  // bytes that wait to be written; beyond that a sender waits
	maxFiles   = 16       // files that came and whose frame did not
	readBuffer = 64 << 10
)

// Kind says what a frame is about.
type Kind uint8

// The frames. The child says Hello first, and is told nothing before.
const (
	Hello    Kind = iota + 1 // child: the build
	Start                    // parent: what the source is made from, and how the node is
	Stop                     // parent: end in good order
	Submit                   // child: envelopes, with the number of their ticket
	Outcomes                 // parent: what became of a ticket
	Note                     // child: evidence
	State                    // child: whether the source does its work
	Log                      // child: a record of the log
	Level                    // parent: from which level on records are wanted
	Bound                    // child: what a listener is bound to
	Ask                      // child: a question to the node
	Answer                   // parent: what the node says
	Unlisten                 // child: a listener is closed
	Retain                   // child: what the next process is to recall
)

// withFile in the place of the kind says that a file goes along.
const withFile = 0x80

// frameHead is the length of the body, and the kind.
const frameHead = 4 + 1

// Frame is one message. Its body belongs to whoever received it, and so does the
// file.
type Frame struct {
	Kind Kind
	Body []byte
	File *os.File // nil for none
}

// Conn is one end. Send is safe for concurrent use; Receive is called by one
// goroutine.
type Conn struct {
	socket *net.UnixConn
	in     *bufio.Reader
	files  []*os.File // that came, for the frames to come; only Receive uses it

	mu      sync.Mutex // guards everything below
	changed sync.Cond  // pending, writing or err are another
	pending []byte
	writing bool // what was pending is on its way
	spare   []byte
	along   []attached
	err     error // nothing is sent any more
}

// attached is a file that goes with the frame at a place in pending.
type attached struct {
	at   int
	file *os.File
}

// New returns the end of a connection over the socket. Run has to run.
func New(socket *net.UnixConn) *Conn {
	c := &Conn{socket: socket}
	c.in = bufio.NewReaderSize(incoming{c}, readBuffer)
	c.changed.L = &c.mu
	return c
}

var errFinished = penstock.Errorf(penstock.Closed, "the connection between the processes was closed")

// Send sends a frame some time later, in the order of the calls. It waits while
// too much waits. Its error is that the connection is broken, or was finished.
func (c *Conn) Send(kind Kind, body []byte) error { return c.SendFile(kind, body, nil) }

// SendFile sends a frame and a file, which it closes in any case.
func (c *Conn) SendFile(kind Kind, body []byte, file *os.File) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pending) > maxPending && c.err == nil {
		c.changed.Wait()
	}
	if c.err != nil {
		if file != nil {
			file.Close()
		}
		return c.err
	}
	mark := byte(kind)
	if file != nil {
		mark |= withFile
		c.along = append(c.along, attached{len(c.pending), file})
	}
	c.pending = binary.LittleEndian.AppendUint32(c.pending, uint32(len(body)))
	c.pending = append(append(c.pending, mark), body...)
	c.changed.Broadcast()
	return nil
}

// Flush returns when all that was sent is with the kernel, which delivers it even if
// this process dies, or when the connection is broken.
func (c *Conn) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for (c.writing || len(c.pending) > 0) && c.err == nil {
		c.changed.Wait()
	}
}

// Run writes what is sent until the connection breaks, or is finished and
// everything is written.
func (c *Conn) Run() {
	for {
		c.mu.Lock()
		for len(c.pending) == 0 && c.err == nil {
			c.changed.Wait()
		}
		if len(c.pending) == 0 || c.err != nil && !errors.Is(c.err, errFinished) {
			for _, a := range c.along {
				a.file.Close()
			}
			c.mu.Unlock()
			_ = c.socket.CloseWrite() // the other end learns it from what it reads
			return
		}
		batch, along := c.pending, c.along
		c.pending, c.along, c.writing = c.spare[:0], nil, true
		c.changed.Broadcast()
		c.mu.Unlock()
		err := c.write(batch, along)
		if cap(batch) > 2*maxPending {
			batch = nil // one large frame does not cost its memory for ever
		}
		c.mu.Lock()
		c.spare, c.writing = batch, false
		c.changed.Broadcast()
		c.mu.Unlock()
		if err != nil {
			c.end(err)
		}
	}
}

// write writes a batch, each file with the first bytes of its frame.
func (c *Conn) write(batch []byte, along []attached) (err error) {
	done := 0
	for _, a := range along {
		if err == nil {
			_, err = c.socket.Write(batch[done:a.at])
		}
		if err == nil {
			done, err = c.writeFile(batch[a.at:a.at+frameHead], a.file)
			done += a.at
		}
		a.file.Close()
	}
	if err == nil {
		_, err = c.socket.Write(batch[done:])
	}
	return err
}

func (c *Conn) writeFile(head []byte, file *os.File) (written int, err error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(fd uintptr) {
		written, _, err = c.socket.WriteMsgUnix(head, syscall.UnixRights(int(fd)), nil)
	})
	return written, errors.Join(err, controlErr)
}

// Finish says that nothing more will be sent.
func (c *Conn) Finish() { c.end(errFinished) }

func (c *Conn) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil || errors.Is(c.err, errFinished) {
		c.err = err
	}
	c.changed.Broadcast()
}

// Close breaks the connection. What came and was not received is closed.
func (c *Conn) Close() {
	c.end(net.ErrClosed)
	c.socket.Close()
}

// Receive returns the next frame, or [io.EOF] when the other end is gone.
func (c *Conn) Receive() (Frame, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return Frame{}, err
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size > MaxFrame {
		return Frame{}, penstock.Errorf(penstock.TooLarge, "a frame of %d bytes came from the other process", size)
	}
	f := Frame{Kind: Kind(head[4] &^ withFile), Body: make([]byte, size)}
	if _, err := io.ReadFull(c.in, f.Body); err != nil {
		return Frame{}, io.ErrUnexpectedEOF
	}
	if head[4]&withFile != 0 {
		if len(c.files) == 0 {
			return Frame{}, penstock.Errorf(penstock.Invalid, "a frame came from the other process without its file")
		}
		f.File, c.files = c.files[0], c.files[1:]
	}
	return f, nil
}

// Abandon closes the files that came and whose frames nobody receives any more.
func (c *Conn) Abandon() {
	for _, f := range c.files {
		f.Close()
	}
	c.files = nil
}

// incoming reads from the socket and keeps the files that come along.
type incoming struct{ c *Conn }

// Read implements io.Reader.
func (i incoming) Read(b []byte) (int, error) {
	beside := make([]byte, syscall.CmsgSpace(4*4))
	n, rights, _, _, err := i.c.socket.ReadMsgUnix(b, beside)
	if rights > 0 {
		if err := i.c.keep(beside[:rights]); err != nil {
			return n, err
		}
	}
	if n <= 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err // it is -1 when it fails
}

func (c *Conn) keep(beside []byte) error {
	messages, err := syscall.ParseSocketControlMessage(beside)
	if err != nil {
		return err
	}
	for i := range messages {
		fds, err := syscall.ParseUnixRights(&messages[i])
		if err != nil {
			return err
		}
		for _, fd := range fds {
			c.files = append(c.files, os.NewFile(uintptr(fd), "handed over"))
		}
	}
	if len(c.files) > maxFiles {
		return penstock.Errorf(penstock.TooLarge, "%d files came from the other process", len(c.files))
	}
	return nil
}
