package historian

import (
	"encoding/binary"

	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/store"
)

// maxCleanSets bounds how many settled sets stay in memory that are also on disk.
const maxCleanSets = 50_000

// setKey names the settled set of a controller and epoch.
type setKey struct {
	controller uint32
	epoch      uint64
}

type settledSet struct {
	set   interval.Set
	dirty bool // changed since the last flush began
}

// settledSets is the settled sets that were used lately. Those changed since the
// last flush are in memory and, as the identities of the head batches, on disk.
type settledSets struct {
	loaded map[setKey]*settledSet
}

// get returns the set, which may be empty.
func (s *settledSets) get(st *store.Store, k setKey) (*settledSet, error) {
	if set := s.loaded[k]; set != nil {
		return set, nil
	}
	value, found, err := st.Get(settledRow(k))
	if err != nil {
		return nil, err
	}
	set := new(settledSet)
	if found {
		if set.set, _, err = interval.Decode(value); err != nil {
			return nil, damaged("settled sets")
		}
	}
	s.loaded[k] = set
	return set, nil
}

// save puts the changed sets into the batch of a flush. When there are many, it
// forgets those that did not change: the flush before has them on disk, whereas
// this one is not committed yet.
func (s *settledSets) save(b *store.Batch) {
	crowded := len(s.loaded) > maxCleanSets
	for k, set := range s.loaded {
		if set.dirty {
			b.Set(settledRow(k), set.set.AppendBinary(nil))
			set.dirty = false
		} else if crowded {
			delete(s.loaded, k)
		}
	}
}

// all yields a copy of every set.
func (s *settledSets) all(st *store.Store, yield func(setKey, *interval.Set) bool) error {
	for k, set := range s.loaded {
		copied := set.set.Clone()
		if copied.Spans() > 0 && !yield(k, &copied) {
			return nil
		}
	}
	stopped := false
	err := st.Scan(row(rowSettled), row(rowSettled+1), func(key, value []byte) error {
		if len(key) != 14 {
			return damaged("settled sets")
		}
		k := setKey{binary.BigEndian.Uint32(key[2:]), binary.BigEndian.Uint64(key[6:])}
		if stopped || s.loaded[k] != nil {
			return nil
		}
		set, _, err := interval.Decode(value)
		if err != nil {
			return damaged("settled sets")
		}
		stopped = !yield(k, &set)
		return nil
	})
	return err
}
