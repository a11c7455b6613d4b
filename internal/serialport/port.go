package serialport

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/penstock/penstock"
)

// Port is an open line. One goroutine may read while another writes; the other
// methods are safe for concurrent use.
type Port struct {
	config Config
	file   device

	mu      sync.Mutex // guards everything below
	unmark  unmarker
	witness witness

	closing sync.Once
	closed  error // what closing said
}

// device is what a Port needs of an open terminal.
type device interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	discardInput() error
	counters() (Counters, error)
}

// Open opens the line and takes it for itself. The error has code
// [penstock.NotFound] when there is no such device, [penstock.Forbidden] when
// this user may not open it, [penstock.Unavailable] when somebody else has it
// or it does not answer, and [penstock.Unsupported] when the driver cannot do
// what the configuration says.
func Open(c Config) (*Port, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	full := c.withDefaults()
	d, err := openDevice(&full)
	if err != nil {
		return nil, err
	}
	return newPort(full, d), nil
}

func newPort(c Config, d device) *Port {
	p := &Port{config: c, file: d, witness: witness{parity: c.Parity != NoParity}}
	p.Faults() // the first reading: what the driver counted before is not ours
	return p
}

// Read reads what has come into b, one byte or more. It waits until the read
// deadline, and then returns an error that is [os.ErrDeadlineExceeded]. Any other
// error is of code [penstock.Unavailable], and the port is of no more use: an
// adapter was unplugged.
func (p *Port) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		n, err := p.file.Read(b)
		if n > 0 {
			p.mu.Lock()
			n = p.unmark.remove(b[:n])
			p.mu.Unlock()
		}
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, p.failure("read", err)
		}
	}
}

// Write gives b to the driver. It may return before the last bit is on the line:
// see [Config.Duration].
func (p *Port) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	if err != nil {
		return n, p.failure("write", err)
	}
	return n, nil
}

// SetReadDeadline ends reads that wait at t; the zero time stands for never.
func (p *Port) SetReadDeadline(t time.Time) error { return p.file.SetReadDeadline(t) }

// SetWriteDeadline ends writes that wait at t; the zero time stands for never.
func (p *Port) SetWriteDeadline(t time.Time) error { return p.file.SetWriteDeadline(t) }

// Close gives the device back: when it returns, another may open it. A Read or
// Write that waits returns. It is legal twice, and by several goroutines.
func (p *Port) Close() error {
	p.closing.Do(func() { p.closed = p.file.Close() })
	return p.closed
}

// Config returns how the line is driven, with nothing left out.
func (p *Port) Config() Config { return p.config }

// ResetInput throws away what has come and was not read.
func (p *Port) ResetInput() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unmark.state = plain
	if err := p.file.discardInput(); err != nil {
		return p.failure("discard the input", err)
	}
	return nil
}

// Counters returns what the driver has counted, and false when it does not count.
func (p *Port) Counters() (Counters, bool) {
	c, err := p.file.counters()
	return c, err == nil
}

// Marks returns the damages seen in the stream since the port was opened.
func (p *Port) Marks() Marks {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unmark.seen
}

// Faults returns the troubles of the line since the call before, or since the
// port was opened.
func (p *Port) Faults() Faults {
	counters, err := p.file.counters()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.witness.since(counters, err == nil, p.unmark.seen)
}

// failure gives an error of the device a code. A deadline stays what it is.
func (p *Port) failure(what string, err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case errors.Is(err, os.ErrClosed):
		return penstock.Errorf(penstock.Closed, "cannot %s: the port %s was closed", what, p.config.Device)
	case errors.Is(err, io.EOF):
		return penstock.Errorf(penstock.Unavailable, "cannot %s: the device %s is gone; is the adapter plugged in?", what, p.config.Device)
	}
	return penstock.Errorf(penstock.Unavailable, "cannot %s on %s: %w", what, p.config.Device, err)
}
