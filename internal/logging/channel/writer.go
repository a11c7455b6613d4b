package channel

import (
	"context"
	"io"
)

// Writer is a [Sender] into a stream of bytes, such as standard error. A stream
// that blocks holds the sender up and nobody else.
type Writer struct{ W io.Writer }

// Send implements Sender.
func (w Writer) Send(_ context.Context, line []byte) error {
	_, err := w.W.Write(line)
	return err
}

// Probe implements Sender: a stream is there until a write fails.
func (w Writer) Probe(context.Context) error { return nil }

// Close implements Sender. The stream belongs to the process.
func (w Writer) Close() error { return nil }
