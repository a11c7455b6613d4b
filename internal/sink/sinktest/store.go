package sinktest

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/sink"
)

// Sample is a sample in a store, and whose it is.
type Sample struct {
	Controller string
	penstock.Sample
}

// Store is a store in memory that several nodes share: what a record must be, said
// with maps and slices.
type Store struct {
	mu    sync.Mutex // guards what follows
	state state
	down  error
	cut   cut
	slow  chan struct{} // not nil: transactions wait until it is closed
}

// cut says where the connection breaks in the next transaction.
type cut uint8

const (
	noCut cut = iota
	beforeCommit
	afterCommit
)

// state is what a transaction changes. It is copied for each, so that one that
// fails leaves nothing behind.
type state struct {
	samples []Sample
	settled map[epoch]interval.Set
	filled  map[epoch]interval.Set // refused or declared lost
	keys    map[key]penstock.Fingerprint
	at      map[sampleKey]penstock.Sample
	nodes   map[string]*place
	held    map[uint64]sink.Held
	next    uint64
	refuse  func(*penstock.Report) string
}

type epoch struct {
	node       string // who brought it; empty for all together
	controller string
	number     uint64
}

type key struct{ controller, key string }

type sampleKey struct {
	controller, point string
	time              int64
}

// place is how far a node is.
type place struct {
	life    string // of the process that settles
	settled interval.Set
	other   map[penstock.Position]penstock.Settlement
}

// NewStore returns an empty store.
func NewStore() *Store {
	return &Store{state: state{
		settled: map[epoch]interval.Set{}, filled: map[epoch]interval.Set{}, keys: map[key]penstock.Fingerprint{}, at: map[sampleKey]penstock.Sample{},
		nodes: map[string]*place{}, held: map[uint64]sink.Held{}, next: 1,
	}}
}

func (s *state) clone() state {
	c := *s
	c.samples = slices.Clone(s.samples)
	c.settled, c.filled, c.keys, c.at, c.held = maps.Clone(s.settled), maps.Clone(s.filled), maps.Clone(s.keys), maps.Clone(s.at), maps.Clone(s.held)
	for _, sets := range [...]map[epoch]interval.Set{c.settled, c.filled} {
		for e, set := range sets {
			sets[e] = set.Clone()
		}
	}
	c.nodes = map[string]*place{}
	for id, p := range s.nodes {
		c.nodes[id] = &place{life: p.life, settled: p.settled.Clone(), other: maps.Clone(p.other)}
	}
	return c
}

// Stored returns every sample in the store, in the order of their coming.
func (s *Store) Stored() []Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.state.samples)
}

// Break has the store fail until mend is called.
func (s *Store) Break() (mend func()) {
	s.set(func() { s.down = penstock.Errorf(penstock.Unavailable, "the store is down") })
	return func() { s.set(func() { s.down = nil }) }
}

// CutCommit has the connection break at the next commit, which arrives at the store
// or does not.
func (s *Store) CutCommit(arrives bool) {
	s.set(func() {
		if s.cut = beforeCommit; arrives {
			s.cut = afterCommit
		}
	})
}

// Refuse has reports go to quarantine with the reason that why gives; empty lets one
// pass.
func (s *Store) Refuse(why func(*penstock.Report) string) {
	s.set(func() { s.state.refuse = why })
}

// Save notes what the store holds; restore takes it back to that.
func (s *Store) Save() (restore func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.state.clone()
	return func() { s.set(func() { s.state = kept.clone() }) }
}

// Stall has transactions wait until release is called.
func (s *Store) Stall() (release func()) {
	gate := make(chan struct{})
	s.set(func() { s.slow = gate })
	return sync.OnceFunc(func() {
		s.set(func() { s.slow = nil })
		close(gate)
	})
}

func (s *Store) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// Open returns the record of a node in the store.
func (s *Store) Open(node func() sink.Node) *Record { return &Record{store: s, node: node} }

// transact has change work on the state, all of it or nothing.
func (s *Store) transact(ctx context.Context, change func(*state) error) error {
	s.mu.Lock()
	gate := s.slow
	s.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.down != nil {
		return s.down
	}
	next := s.state.clone()
	if err := change(&next); err != nil {
		return err
	}
	cut := s.cut
	s.cut = noCut
	if cut != beforeCommit {
		s.state = next
	}
	if cut != noCut {
		return penstock.Errorf(penstock.Unavailable, "the connection broke at the commit")
	}
	return nil
}
