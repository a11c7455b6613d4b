package script

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/penstock/penstock"
)

// A Table keeps small records under short keys. PutAll and Delete return only when
// the change is durable; PutAll changes all or nothing. Scan may yield in any order.
type Table interface {
	PutAll(values map[string][]byte) error
	Delete(key []byte) error
	Scan(yield func(key, value []byte) error) error
}

// A record is a version byte, a byte of feature bits that a reader must know, and
// the state in JSON.
const (
	recordVersion = 1
	recordHeader  = 2
)

// maxStates bounds the bytes that are kept of all controllers together.
const maxStates = 64 << 20

// flushAtOnce is how many controllers are written in one piece.
const flushAtOnce = 256

// States are what scripts keep of the controllers: text for each, in memory, and in
// the table a while later. It is safe for concurrent use.
type States struct {
	table Table

	mu      sync.Mutex
	entries map[string]*state
	bytes   int // of all texts

	writing sync.Mutex // held while the table is written
}

// state is that of one controller.
type state struct {
	text  string
	users int           // that hold it, or wait for it
	turn  chan struct{} // has one token while nobody holds it
	dirty bool          // not in the table yet
}

// OpenStates reads the table, and returns an error of code [penstock.Corrupt] when
// a record cannot be read, [penstock.Unsupported] when a newer version wrote it.
// Without a table nothing outlives the process.
func OpenStates(table Table) (*States, error) {
	s := &States{table: table, entries: map[string]*state{}}
	if table == nil {
		return s, nil
	}
	err := table.Scan(func(key, value []byte) error {
		if len(value) < recordHeader {
			return penstock.Errorf(penstock.Corrupt, "script: the state of controller %q is cut short", key)
		}
		if value[0] != recordVersion || value[1] != 0 {
			return penstock.Errorf(penstock.Unsupported, "script: the state of controller %q has version %d, features %#x: use the version that wrote it", key, value[0], value[1])
		}
		text := value[recordHeader:]
		if !json.Valid(text) {
			return penstock.Errorf(penstock.Corrupt, "script: the state of controller %q is no JSON", key)
		}
		e := newState()
		e.text = string(text)
		s.entries[string(key)] = e
		s.bytes += len(text)
		return nil
	})
	return s, err
}

func newState() *state {
	e := &state{turn: make(chan struct{}, 1)}
	e.turn <- struct{}{}
	return e
}

// hold is the state of one controller while a report of it is under way: those of
// a controller go one after the other.
type hold struct {
	states     *States
	controller string
	state      *state
}

// hold waits until no other report of the controller is under way. The error is
// one of a temporary code.
func (s *States) hold(ctx context.Context, controller string) (*hold, error) {
	s.mu.Lock()
	e := s.entries[controller]
	if e == nil {
		e = newState()
		s.entries[controller] = e
	}
	e.users++
	s.mu.Unlock()
	h := &hold{s, controller, e}
	select {
	case <-e.turn:
		return h, nil
	case <-ctx.Done():
		h.leave()
		return nil, penstock.RetryLater(penstock.Unavailable, maxWait, "script: it is busy with another report of the same controller")
	}
}

func (h *hold) release() {
	h.state.turn <- struct{}{}
	h.leave()
}

// leave forgets a state that says nothing and that nobody uses.
func (h *hold) leave() {
	h.states.mu.Lock()
	defer h.states.mu.Unlock()
	h.state.users--
	h.states.forget(h.controller, h.state)
}

func (s *States) forget(controller string, e *state) {
	if e.users == 0 && e.text == "" && !e.dirty {
		delete(s.entries, controller)
	}
}

func (h *hold) text() string {
	h.states.mu.Lock()
	defer h.states.mu.Unlock()
	return h.state.text
}

// keep replaces the state. Its error says which bound it would break.
func (h *hold) keep(text string, bound int) error {
	if len(text) > bound {
		return penstock.Errorf(penstock.TooLarge, "ctx.state has %d bytes, and at most %d are kept of a controller", len(text), bound)
	}
	s := h.states
	s.mu.Lock()
	defer s.mu.Unlock()
	if grown := len(text) - len(h.state.text); grown > 0 && s.bytes+grown > maxStates {
		return penstock.Errorf(penstock.Full, "ctx.state of all controllers together has %d bytes, which is the most that is kept", s.bytes)
	}
	s.bytes += len(text) - len(h.state.text)
	h.state.text, h.state.dirty = text, true
	return nil
}

// Flush writes what changed since the last call to the table. It is to be called
// every few seconds and at the end; what changed after the last call before a
// crash is lost.
func (s *States) Flush() error {
	if s.table == nil {
		return nil
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	for {
		names, rows := s.changed()
		if err := s.write(names, rows); err != nil {
			s.unwritten(names)
			return err
		}
		if len(names) < flushAtOnce {
			return nil
		}
	}
}

// unwritten has the next Flush write the controllers again.
func (s *States) unwritten(names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		e := s.entries[name]
		if e == nil { // forgotten meanwhile, but the table does not know it
			e = newState()
			s.entries[name] = e
		}
		e.dirty = true
	}
}

// changed returns some of the controllers whose state is not in the table, and
// takes them for written. A state that was written stays until the next call.
func (s *States) changed() (names []string, rows map[string][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows = map[string][]byte{}
	for name, e := range s.entries {
		if !e.dirty {
			s.forget(name, e)
			continue
		}
		if len(names) == flushAtOnce {
			break
		}
		e.dirty = false
		names = append(names, name)
		if e.text != "" {
			rows[name] = append([]byte{recordVersion, 0}, e.text...)
		}
	}
	return names, rows
}

func (s *States) write(names []string, rows map[string][]byte) error {
	if len(rows) > 0 {
		if err := s.table.PutAll(rows); err != nil {
			return err
		}
	}
	for _, name := range names {
		if _, kept := rows[name]; kept {
			continue
		}
		if err := s.table.Delete([]byte(name)); err != nil {
			return err
		}
	}
	return nil
}
