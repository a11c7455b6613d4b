// Package settled keeps which sequence numbers are settled, controller by
// controller and epoch by epoch.
package settled

import (
	"encoding/binary"

	"github.com/penstock/penstock/internal/historian/layout"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/store"
)

// Key names the settled set of a controller and epoch.
type Key struct {
	Controller uint32
	Epoch      uint64
}

// Set is the settled numbers of one epoch. Who changes it marks it dirty.
type Set struct {
	interval.Set
	Dirty bool // changed since the last flush began
}

// Sets is the settled sets that were used lately. Those changed since the
// last flush are in memory and, as the identities of the head batches, on disk.
type Sets struct {
	loaded map[Key]*Set
	most   int
}

// New returns sets of which none is loaded. When more than most are, those that a
// flush has on disk are forgotten.
func New(most int) Sets { return Sets{loaded: map[Key]*Set{}, most: most} }

// Get returns the set, which may be empty.
func (s *Sets) Get(st *store.Store, k Key) (*Set, error) {
	if set := s.loaded[k]; set != nil {
		return set, nil
	}
	value, found, err := st.Get(layout.SettledKey(k.Controller, k.Epoch))
	if err != nil {
		return nil, err
	}
	set := new(Set)
	if found {
		if set.Set, _, err = interval.Decode(value); err != nil {
			return nil, layout.Damaged("settled sets")
		}
	}
	s.loaded[k] = set
	return set, nil
}

// Replay adds a number that a head batch has settled. What the last flush has on
// disk is joined to it by [Sets.Join], because one scan costs less than many looks.
func (s *Sets) Replay(k Key, n uint64) {
	set := s.loaded[k]
	if set == nil {
		set = &Set{Dirty: true}
		s.loaded[k] = set
	}
	set.Add(n, n)
}

// Join adds what is on disk to the sets that were replayed.
func (s *Sets) Join(st *store.Store) error {
	if len(s.loaded) == 0 {
		return nil
	}
	return st.Scan(layout.Settled.First(), layout.Settled.End(), func(key, value []byte) error {
		k, ok := parseKey(key)
		set := s.loaded[k]
		if set == nil && ok {
			return nil
		}
		before, _, err := interval.Decode(value)
		if err != nil || !ok {
			return layout.Damaged("settled sets")
		}
		for span := range before.All {
			set.Add(span.First, span.Last)
		}
		return nil
	})
}

func parseKey(key []byte) (Key, bool) {
	if len(key) != 14 {
		return Key{}, false
	}
	return Key{binary.BigEndian.Uint32(key[2:]), binary.BigEndian.Uint64(key[6:])}, true
}

// Save puts the changed sets into the batch of a flush. When there are many, it
// forgets those that did not change: the flush before has them on disk, whereas
// this one is not committed yet.
func (s *Sets) Save(b *store.Batch) {
	crowded := len(s.loaded) > s.most
	for k, set := range s.loaded {
		if set.Dirty {
			b.Set(layout.SettledKey(k.Controller, k.Epoch), set.AppendBinary(nil))
			set.Dirty = false
		} else if crowded {
			delete(s.loaded, k)
		}
	}
}

// All yields a copy of every set.
func (s *Sets) All(st *store.Store, yield func(Key, *interval.Set) bool) error {
	for k, set := range s.loaded {
		copied := set.Clone()
		if copied.Spans() > 0 && !yield(k, &copied) {
			return nil
		}
	}
	stopped := false
	err := st.Scan(layout.Settled.First(), layout.Settled.End(), func(key, value []byte) error {
		k, ok := parseKey(key)
		if !ok {
			return layout.Damaged("settled sets")
		}
		if stopped || s.loaded[k] != nil {
			return nil
		}
		set, _, err := interval.Decode(value)
		if err != nil {
			return layout.Damaged("settled sets")
		}
		stopped = !yield(k, &set)
		return nil
	})
	return err
}
