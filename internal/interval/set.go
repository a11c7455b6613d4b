// Package interval keeps sets of sequence numbers as sorted, disjoint spans, so
// that a controller that never loses a number costs one span for ever.
package interval

import (
	"encoding/binary"
	"errors"
	"slices"
	"sort"
)

// Span is the numbers from First to Last, both included.
type Span struct {
	First, Last uint64
}

// Set is a set of numbers. The zero Set is empty. It is not safe for concurrent
// use.
type Set struct {
	spans []Span // sorted; at least one number is missing between two of them
}

// find returns the index of the first span that ends at or after n.
func (s *Set) find(n uint64) int {
	last := len(s.spans) - 1
	if last >= 0 && s.spans[last].First <= n {
		if n <= s.spans[last].Last {
			return last
		}
		return last + 1 // the common case: numbers grow
	}
	return sort.Search(len(s.spans), func(i int) bool { return s.spans[i].Last >= n })
}

// Contains tells whether n is in the set.
func (s *Set) Contains(n uint64) bool {
	i := s.find(n)
	return i < len(s.spans) && s.spans[i].First <= n
}

// Add puts the numbers first to last into the set and returns how many of them
// were not in it before.
func (s *Set) Add(first, last uint64) uint64 {
	if first > last {
		return 0
	}
	i := s.find(first)
	if i > 0 && s.spans[i-1].Last == first-1 {
		i-- // adjoins the span before
	}
	joined := Span{first, last}
	added := last - first + 1
	j := i
	for ; j < len(s.spans) && s.spans[j].First <= last; j++ {
		added -= overlap(s.spans[j], first, last)
		joined = union(joined, s.spans[j])
	}
	if j < len(s.spans) && last != ^uint64(0) && s.spans[j].First == last+1 {
		joined = union(joined, s.spans[j])
		j++
	}
	if j > i && s.spans[i].Last == first-1 {
		joined = union(joined, s.spans[i])
	}
	s.spans = slices.Replace(s.spans, i, j, joined)
	return added
}

// Remove takes the numbers first to last out of the set and returns how many of
// them were in it.
func (s *Set) Remove(first, last uint64) uint64 {
	if first > last {
		return 0
	}
	i := s.find(first)
	var removed uint64
	var rest []Span
	j := i
	for ; j < len(s.spans) && s.spans[j].First <= last; j++ {
		span := s.spans[j]
		removed += overlap(span, first, last)
		if span.First < first {
			rest = append(rest, Span{span.First, first - 1})
		}
		if span.Last > last {
			rest = append(rest, Span{last + 1, span.Last})
		}
	}
	s.spans = slices.Replace(s.spans, i, j, rest...)
	return removed
}

// Through returns the last number up to which the set has no gap, counted from
// first: first-1 when first itself is missing.
func (s *Set) Through(first uint64) uint64 {
	i := s.find(first)
	if i < len(s.spans) && s.spans[i].First <= first {
		return s.spans[i].Last
	}
	return first - 1
}

// Spans returns how many spans the set has: the gaps, and one.
func (s *Set) Spans() int { return len(s.spans) }

// All yields the spans in their order. The set must not change meanwhile.
func (s *Set) All(yield func(Span) bool) {
	for _, span := range s.spans {
		if !yield(span) {
			return
		}
	}
}

// Count returns how many numbers are in the set.
func (s *Set) Count() uint64 {
	var n uint64
	for _, span := range s.spans {
		n += span.Last - span.First + 1
	}
	return n
}

// Highest returns the largest number in the set, 0 when it is empty.
func (s *Set) Highest() uint64 {
	if len(s.spans) == 0 {
		return 0
	}
	return s.spans[len(s.spans)-1].Last
}

// Clone returns a copy that shares nothing with s.
func (s *Set) Clone() Set { return Set{spans: slices.Clone(s.spans)} }

// Equal tells whether both sets hold the same numbers.
func (s *Set) Equal(other *Set) bool { return slices.Equal(s.spans, other.spans) }

// AppendBinary appends the set in its format on disk: the number of spans, then
// for each the distance of its first number from the end of the span before and
// its length less one, all as unsigned varints.
func (s *Set) AppendBinary(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s.spans)))
	var end uint64
	for _, span := range s.spans {
		dst = binary.AppendUvarint(dst, span.First-end)
		dst = binary.AppendUvarint(dst, span.Last-span.First)
		end = span.Last
	}
	return dst
}

var errMalformed = errors.New("interval: malformed set")

// Decode reads a set from the start of b and returns what follows it.
func Decode(b []byte) (Set, []byte, error) {
	count, b, ok := uvarint(b)
	if !ok || count > uint64(len(b)) { // a span has at least two bytes
		return Set{}, nil, errMalformed
	}
	s := Set{spans: make([]Span, 0, count)}
	var end uint64
	for i := range count {
		var gap, length uint64
		if gap, b, ok = uvarint(b); !ok {
			return Set{}, nil, errMalformed
		}
		if length, b, ok = uvarint(b); !ok {
			return Set{}, nil, errMalformed
		}
		first := end + gap
		last := first + length
		if first < end || last < first || i > 0 && gap < 2 {
			return Set{}, nil, errMalformed
		}
		s.spans = append(s.spans, Span{first, last})
		end = last
	}
	return s, b, nil
}

func uvarint(b []byte) (uint64, []byte, bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

func overlap(s Span, first, last uint64) uint64 {
	lo, hi := max(s.First, first), min(s.Last, last)
	if lo > hi {
		return 0
	}
	return hi - lo + 1
}

func union(a, b Span) Span { return Span{min(a.First, b.First), max(a.Last, b.Last)} }
