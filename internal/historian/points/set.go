package points

import (
	"slices"

	"github.com/penstock/penstock"
)

// Set is the points of one controller, by numbers from 0 on. What is said to be
// below Len is the caller's duty.
type Set struct {
	shared *Shared
	list   *list
	rows   []row
	texts  map[uint32]string // latest values that are texts
}

// row is one point.
type row struct {
	time   int64 // of the latest sample
	bits   uint64
	status penstock.Status
	native uint32
	unit   uint32
	flags  penstock.SampleFlags
	value  penstock.Kind // of the latest sample
	kind   penstock.Kind
	has    bool // there is a latest sample
}

// NewSet returns the points of a controller that has none yet.
func (s *Shared) NewSet() Set { return Set{shared: s, list: &list{users: 1}} }

// Len returns how many points there are.
func (s *Set) Len() int { return len(s.rows) }

// Grow makes room for n more points.
func (s *Set) Grow(n int) { s.rows = slices.Grow(s.rows, n) }

// Find returns the number of a point.
func (s *Set) Find(name string) (uint32, bool) { return s.shared.find(s.list, name) }

// Name returns the name of a point.
func (s *Set) Name(point uint32) string { return s.list.names[point] }

// Add makes a point, which must be new, and returns its number.
func (s *Set) Add(name string) uint32 {
	s.list = s.shared.extend(s.list, name)
	s.rows = append(s.rows, row{})
	return uint32(len(s.rows) - 1)
}

// Unit returns the unit of a point, empty while no report said.
func (s *Set) Unit(point uint32) string { return s.shared.units[s.rows[point].unit] }

// SetUnit notes the unit of a point.
func (s *Set) SetUnit(point uint32, unit string) { s.rows[point].unit = s.shared.unit(unit) }

// Kind returns the kind of the newest value of a point that came, none while all
// were missing.
func (s *Set) Kind(point uint32) penstock.Kind { return s.rows[point].kind }

// SetKind notes the kind of a point.
func (s *Set) SetKind(point uint32, kind penstock.Kind) { s.rows[point].kind = kind }

// Observe keeps the later of n and the latest sample of the point; of two at one
// time the one that is observed later.
func (s *Set) Observe(point uint32, n *penstock.Sample) {
	r := &s.rows[point]
	if r.has && n.SourceTime < r.time {
		return
	}
	if kind := n.Value.Kind(); kind == penstock.Text || r.value == penstock.Text {
		s.observeText(point, &n.Value)
	}
	r.has = true
	r.time, r.bits, r.value = n.SourceTime, n.Value.Bits(), n.Value.Kind()
	r.status, r.native, r.flags = n.Status, n.Native, n.Flags
}

func (s *Set) observeText(point uint32, v *penstock.Value) {
	if v.Kind() != penstock.Text {
		delete(s.texts, point)
		return
	}
	if s.texts == nil {
		s.texts = map[uint32]string{}
	}
	s.texts[point] = v.Text()
}

// Latest returns the sample with the latest source time, with its point and unit,
// and false when there is none.
func (s *Set) Latest(point uint32) (penstock.Sample, bool) {
	r := &s.rows[point]
	out := penstock.Sample{Point: s.Name(point), Unit: s.Unit(point)}
	if !r.has {
		return out, false
	}
	out.SourceTime, out.Status, out.Native, out.Flags = r.time, r.status, r.native, r.flags
	out.Value = penstock.BitsValue(r.value, r.bits)
	if r.value == penstock.Text {
		out.Value = penstock.TextValue(s.texts[point])
	}
	return out, true
}

// LatestTime returns the time of the latest sample, and false when there is none.
func (s *Set) LatestTime(point uint32) (int64, bool) {
	return s.rows[point].time, s.rows[point].has
}
