package apart

import "bytes"

// maxRetained is how much of a source's state is kept, in bytes.
const maxRetained = 4 << 20

// memory is what one process of a source leaves to the next. Only one goroutine
// uses it at a time.
type memory struct {
	state []byte
	spent bool // the state was given to a process, and none has said another since
}

// recall returns the state for the next process. One that a process died of before
// it said another is forgotten: it may be the cause.
func (m *memory) recall() []byte {
	if m.spent {
		m.state = nil
	}
	m.spent = m.state != nil
	return m.state
}

// retain keeps a state, in place of the one before.
func (m *memory) retain(state []byte) {
	switch {
	case len(state) > maxRetained:
		m.state, m.spent = nil, false
	case !bytes.Equal(state, m.state):
		m.state, m.spent = bytes.Clone(state), false
	}
}
