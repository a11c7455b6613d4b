package linkgate

import "io"

// Wire is an open line.
type Wire interface{ wire }

var _ io.ReadWriteCloser = Wire(nil)

// OpenWith has the source open its line so.
func (s *Serial) OpenWith(open func() (Wire, error)) {
	s.open = func() (wire, error) { return open() }
}
