package wire

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
)

// Conn is the way to the devices: a TCP connection or a serial line.
type Conn interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// What Ask returns when there is no answer. Any other error that is no
// [*Exception] says that the connection is of no more use.
var (
	ErrTimeout = errors.New("no answer in time")
	ErrDamaged = errors.New("what came was no whole answer")
)

// Options are how to speak on a connection. The zero value is right for most.
type Options struct {
	// Seen is told what happened on the wire, with the bytes where they were bad.
	// The unit is the one that was asked, and -1 for what nobody asked.
	Seen func(unit int, e evidence.Event, frame []byte, why string)
	// Pause is kept between an answer and the next request.
	Pause time.Duration
	// AnyTransaction is for gateways that do not send the transaction's number
	// back. The connection is then given up after every timeout, since a late
	// answer could not be told from the next one.
	AnyTransaction bool
	// AnyUnit is for devices that do not send back the unit's number over TCP.
	AnyUnit bool
	// Echo says that an RTU line sends our own bytes back first.
	Echo bool
	// Quiet is for how long an RTU line must be still before a request.
	Quiet time.Duration
	// Gap is a silence within an RTU answer after which nothing more is expected;
	// 0 waits for the whole time.
	Gap time.Duration
	// Fence returns the request that shows whether a unit on an RTU line still owes
	// an answer; nil for none. See [Fence].
	Fence func(unit uint8) (q Request, ok bool)
	// Duration says how long n characters take on an RTU line; nil takes no time.
	Duration func(n int) time.Duration
}

// Bus asks the devices on one connection, one at a time. It is for one goroutine;
// Close may be called from any.
type Bus struct {
	Options
	conn    Conn
	framing framing
	buffer  []byte // what has come and was not taken yet
	free    time.Time
	broken  error
	owing   map[uint8]*fence // units whose answer may still come; RTU only
}

// framing is how requests and answers stand in the stream.
type framing interface {
	// prepare makes sure that what comes from now on answers the next request.
	prepare(b *Bus) error
	// append appends the frame of a request.
	append(dst []byte, q Request) []byte
	// take looks for the answer to q in the buffer and takes out what it has read.
	// A nil answer and no error says that more is needed.
	take(b *Bus, q Request) (pdu []byte, err error)
	// give says why, when no more comes.
	give(b *Bus, q Request) error
}

// maxFrame is the longest frame of any framing.
const maxFrame = 260

// NewTCP returns a bus with the framing of Modbus TCP.
func NewTCP(c Conn, o Options) *Bus {
	o.Fence = nil // transactions tell the answers apart
	return newBus(c, o, &mbap{})
}

// NewRTU returns a bus with the framing of Modbus RTU. Where the connection can
// discard its input by itself (ResetInput), that is used too.
func NewRTU(c Conn, o Options) *Bus { return newBus(c, o, &rtu{}) }

func newBus(c Conn, o Options, f framing) *Bus {
	if o.Seen == nil {
		o.Seen = func(int, evidence.Event, []byte, string) {}
	}
	if o.Duration == nil {
		o.Duration = func(int) time.Duration { return 0 }
	}
	return &Bus{Options: o, conn: c, framing: f, buffer: make([]byte, 0, 2*maxFrame), owing: map[uint8]*fence{}}
}

// Broken returns why the connection is of no more use, nil while it holds.
func (b *Bus) Broken() error { return b.broken }

// Close closes the connection; an Ask that waits returns.
func (b *Bus) Close() error { return b.conn.Close() }

// Ask sends a request and returns the data of its answer. Timeout is the time that the device has from the end of the
// request to the end of its answer, the time on a serial line not counted.
func (b *Bus) Ask(q Request, timeout time.Duration) ([]byte, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	if b.broken != nil {
		return nil, b.broken
	}
	if err := b.settle(q.Unit, timeout); err != nil {
		return nil, b.failed(err)
	}
	pdu, err := b.exchange(q, timeout)
	b.remember(q, pdu, err)
	switch {
	case err != nil && errors.Is(err, ErrTimeout):
		b.Seen(int(q.Unit), evidence.Timeout, nil, "")
		return nil, err
	case err != nil:
		return nil, b.failed(err)
	case q.refuses(pdu):
		e := &Exception{ExceptionCode(pdu[1])}
		b.Seen(int(q.Unit), evidence.Exception, pdu, "asked for "+q.String()+" it answered with "+e.Error())
		return nil, e
	}
	b.Seen(int(q.Unit), evidence.Received, nil, "")
	return q.data(pdu), nil
}

// failed notes an error after which the connection is of no more use.
func (b *Bus) failed(err error) error {
	if !errors.Is(err, ErrTimeout) && !errors.Is(err, ErrDamaged) {
		b.broken = err
	}
	return err
}

func (b *Bus) exchange(q Request, timeout time.Duration) ([]byte, error) {
	time.Sleep(time.Until(b.free))
	defer func() { b.free = time.Now().Add(b.Pause) }()
	if err := b.framing.prepare(b); err != nil {
		return nil, err
	}
	frame := b.framing.append(make([]byte, 0, 16), q)
	sending := b.Duration(len(frame))
	if err := b.conn.SetWriteDeadline(time.Now().Add(sending + timeout)); err != nil {
		return nil, lost(err)
	}
	if _, err := b.conn.Write(frame); err != nil {
		return nil, lost(err)
	}
	deadline := time.Now().Add(sending + timeout + b.Duration(q.answerSize()+3))
	for {
		pdu, err := b.framing.take(b, q)
		if pdu != nil || err != nil {
			return pdu, err
		}
		more, err := b.fill(deadline)
		if err != nil {
			return nil, err
		}
		if !more {
			return nil, b.framing.give(b, q)
		}
	}
}

// fill reads what comes until the deadline, or until a gap after the first bytes,
// and tells whether anything did.
func (b *Bus) fill(deadline time.Time) (bool, error) {
	if b.Gap > 0 && len(b.buffer) > 0 {
		if gap := time.Now().Add(b.Gap); gap.Before(deadline) {
			deadline = gap
		}
	}
	if err := b.conn.SetReadDeadline(deadline); err != nil {
		return false, lost(err)
	}
	if len(b.buffer) == cap(b.buffer) {
		b.Seen(-1, evidence.Framing, b.buffer, "bytes without end that make no frame")
		b.buffer = b.buffer[:0]
	}
	n, err := b.conn.Read(b.buffer[len(b.buffer):cap(b.buffer)])
	b.buffer = b.buffer[:len(b.buffer)+n]
	switch {
	case n > 0:
		return true, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return false, nil
	}
	return false, lost(err)
}

// drop takes the first n bytes out of the buffer.
func (b *Bus) drop(n int) { b.buffer = append(b.buffer[:0], b.buffer[n:]...) }

// lost returns the error of a connection that is of no more use.
func lost(err error) error {
	if errors.Is(err, io.EOF) {
		return penstock.Errorf(penstock.Unavailable, "the other side closed the connection")
	}
	return penstock.Errorf(penstock.Unavailable, "the connection broke: %w", err)
}
