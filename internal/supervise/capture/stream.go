package capture

import (
	"fmt"
	"io"
)

// NewStream returns a destination that writes lines for people:
// "2026-11-22T06:00:00.000Z warning web/2[417] text".
func NewStream(w io.Writer) Destination { return stream{w} }

type stream struct{ w io.Writer }

// Write implements [Destination].
func (s stream) Write(l *Line) error {
	_, err := s.w.Write(appendText(nil, l))
	return err
}

// Close implements [Destination]; the stream is its owner's.
func (s stream) Close() error { return nil }

func appendText(b []byte, l *Line) []byte {
	b = l.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	return fmt.Appendf(b, " %s %s[%d] %s\n", l.Severity, l.Name(), l.PID, l.Text)
}

// Discard is the destination of nothing: lines are shown to those who ask alone.
type Discard struct{}

// Write implements [Destination].
func (Discard) Write(*Line) error { return nil }

// Close implements [Destination].
func (Discard) Close() error { return nil }
