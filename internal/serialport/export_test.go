package serialport

import (
	"io"
	"time"
)

// Fake is a device of a test.
type Fake struct {
	io.Reader
	Now  Counters
	None error // why the driver does not count
}

func (f *Fake) Write(b []byte) (int, error)      { return len(b), nil }
func (f *Fake) Close() error                     { return nil }
func (f *Fake) SetReadDeadline(time.Time) error  { return nil }
func (f *Fake) SetWriteDeadline(time.Time) error { return nil }
func (f *Fake) discardInput() error              { return nil }
func (f *Fake) counters() (Counters, error)      { return f.Now, f.None }

// OpenFake returns a port on a fake.
func OpenFake(c Config, f *Fake) *Port { return newPort(c.withDefaults(), f) }
