package logging

import (
	"bytes"
	"sync"
)

// The bounds of what is kept of the newest lines.
const (
	ringLines = 2000
	ringBytes = 1 << 20
	ringLine  = 8 << 10 // of one line; a longer one is left out
)

// ring keeps the newest lines, whatever becomes of them elsewhere.
type ring struct {
	mu    sync.Mutex
	lines [][]byte // the oldest first
	bytes int
}

// Write implements io.Writer: one call is one line.
func (r *ring) Write(p []byte) (int, error) {
	if len(p) > ringLine {
		return len(p), nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, bytes.Clone(p))
	r.bytes += len(p)
	for len(r.lines) > ringLines || r.bytes > ringBytes {
		r.bytes -= len(r.lines[0])
		r.lines[0] = nil
		r.lines = r.lines[1:]
	}
	return len(p), nil
}

// all returns the lines, each with its end.
func (r *ring) all() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Join(r.lines, nil)
}
