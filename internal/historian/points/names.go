package points

import (
	"hash/maphash"
	"slices"
	"strings"
)

// maxShared is how many names a list may have that controllers share: a list is
// copied when one of those that share it gets another point.
const maxShared = 256

// Shared is what the points of all controllers have in common.
type Shared struct {
	seed   maphash.Seed
	lists  map[uint64]*list // by the hash of their names
	units  []string         // 0 is the empty one
	unitOf map[string]uint32
}

// NewShared returns what sets of points share.
func NewShared() *Shared {
	return &Shared{seed: maphash.MakeSeed(), lists: map[uint64]*list{}, units: []string{""}, unitOf: map[string]uint32{"": 0}}
}

func (s *Shared) unit(name string) uint32 {
	if n, ok := s.unitOf[name]; ok {
		return n
	}
	name = strings.Clone(name)
	n := uint32(len(s.units))
	s.units = append(s.units, name)
	s.unitOf[name] = n
	return n
}

// list is the names of a controller's points, in their order, for as many
// controllers as have the same.
type list struct {
	names []string
	slots []uint32 // open addressing by the hash of the name: index + 1, 0 for none
	hash  uint64   // of all names in their order
	users int
}

// extend returns the list with one more name, for the caller alone or shared; the
// one that is given is the caller's no more.
func (s *Shared) extend(l *list, name string) *list {
	if l.users > 1 {
		l.users--
		l = &list{names: slices.Clone(l.names), slots: slices.Clone(l.slots), hash: l.hash, users: 1}
	} else if s.lists[l.hash] == l {
		delete(s.lists, l.hash)
	}
	hash := maphash.String(s.seed, name)
	l.names = append(l.names, strings.Clone(name))
	l.hash = (l.hash ^ hash) * 0x9e3779b97f4a7c15
	if len(l.names) > maxShared {
		s.place(l, hash)
		return l
	}
	if other := s.lists[l.hash]; other != nil && slices.Equal(other.names, l.names) {
		other.users++
		return other
	}
	s.place(l, hash)
	s.lists[l.hash] = l
	return l
}

// place puts the last name into its slot, and makes slots when they get scarce.
func (s *Shared) place(l *list, hash uint64) {
	n := len(l.names)
	if n*4 <= len(l.slots)*3 {
		l.put(uint32(n), hash)
		return
	}
	l.slots = make([]uint32, max(4, 2*len(l.slots)))
	for i, name := range l.names {
		l.put(uint32(i+1), maphash.String(s.seed, name))
	}
}

func (l *list) put(entry uint32, hash uint64) {
	mask := uint64(len(l.slots) - 1)
	for at := hash & mask; ; at = (at + 1) & mask {
		if l.slots[at] == 0 {
			l.slots[at] = entry
			return
		}
	}
}

func (s *Shared) find(l *list, name string) (uint32, bool) {
	if len(l.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(l.slots) - 1)
	for at := maphash.String(s.seed, name) & mask; ; at = (at + 1) & mask {
		entry := l.slots[at]
		if entry == 0 {
			return 0, false
		}
		if l.names[entry-1] == name {
			return entry - 1, true
		}
	}
}
