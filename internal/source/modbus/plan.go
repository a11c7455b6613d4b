package modbus

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source/modbus/wire"
)

// poll is a group of a device, made ready to be read.
type poll struct {
	every   time.Duration
	timeout time.Duration
	retries int
	blocks  []*block
	points  []*reading
}

// block is a range that one request reads.
type block struct {
	ask    wire.Request
	pieces []span // what is wanted of it, in the order of its addresses
}

// span is a range of addresses, from first up to and without end.
type span struct{ first, end int }

// reading is a point of a poll.
type reading struct {
	*Point
	value, status place
	failed        bool // its last sample says that it could not be read
}

// place is where something stands in the answers to a poll.
type place struct {
	table wire.Function
	span
}

// plan makes the polls of a device ready. The device was validated.
func plan(d *Device, m *Model, l *Line) []*poll {
	polls := make([]*poll, len(m.Groups))
	for i := range m.Groups {
		g := &m.Groups[i]
		p := &poll{every: g.Every, timeout: cmp.Or(g.Timeout, l.Timeout, defaultTimeout), retries: defaultRetries}
		if retries := cmp.Or(g.Retries, l.Retries); retries != nil {
			p.retries = *retries
		}
		var places []place
		for j := range g.Points {
			r := newReading(&g.Points[j], m.CountFrom)
			p.points = append(p.points, r)
			places = append(places, r.value)
			if r.Status != nil {
				places = append(places, r.status)
			}
		}
		p.blocks = blocks(d.Unit, places, cmp.Or(m.MaxRegisters, wire.MaxRegisters), m.gap())
		polls[i] = p
	}
	return polls
}

func (m *Model) gap() int {
	if m.MaxGap == nil {
		return defaultGap
	}
	return *m.MaxGap
}

func newReading(p *Point, countFrom int) *reading {
	filled := *p
	filled.Type = p.kind()
	r := &reading{Point: &filled, value: p.place(countFrom)}
	if p.Status != nil {
		r.status = p.Status.place(countFrom)
	}
	return r
}

// kind returns the type, or what stands for it when it is left out.
func (p *Point) kind() Type {
	switch {
	case p.Type != "":
		return p.Type
	case p.At.table.Bits() || p.At.bit >= 0:
		return Bool
	}
	return U16
}

func (p *Point) place(countFrom int) place {
	first := p.At.first(countFrom)
	size := max(p.kind().words(), p.Length)
	return place{p.At.table, span{first, first + size}}
}

func (s *StatusBits) place(countFrom int) place {
	first := s.At.first(countFrom)
	return place{s.At.table, span{first, first + 1}}
}

// blocks puts places together into as few requests as the limits allow. A place
// is never cut in two, since its registers belong together.
func blocks(unit uint8, places []place, most, gap int) []*block {
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.table, b.table), cmp.Compare(a.first, b.first), cmp.Compare(a.end, b.end))
	})
	var list []*block
	for _, p := range places {
		limit, hole := most, gap
		if p.table.Bits() {
			limit, hole = 16*most, 16*gap
		}
		if n := len(list); n > 0 && list[n-1].extend(p, limit, hole) {
			continue
		}
		list = append(list, newBlock(unit, p.table, []span{p.span}))
	}
	return list
}

func newBlock(unit uint8, table wire.Function, pieces []span) *block {
	first, end := pieces[0].first, pieces[0].end
	for _, p := range pieces {
		end = max(end, p.end)
	}
	return &block{
		ask:    wire.Request{Unit: unit, Function: table, Address: uint16(first), Count: uint16(end - first)},
		pieces: pieces,
	}
}

// extend takes a place into the block, if it is near enough.
func (b *block) extend(p place, limit, hole int) bool {
	first, end := int(b.ask.Address), int(b.ask.Address)+int(b.ask.Count)
	if p.table != b.ask.Function || p.first > end+hole || max(end, p.end)-first > limit {
		return false
	}
	b.ask.Count = uint16(max(end, p.end) - first)
	last := &b.pieces[len(b.pieces)-1]
	if p.first <= last.end {
		last.end = max(last.end, p.end)
	} else {
		b.pieces = append(b.pieces, p.span)
	}
	return true
}

// split returns the block without what nobody wants in it, for devices that
// refuse to read that. It returns nil when there is nothing to leave out.
func (b *block) split() []*block {
	if len(b.pieces) < 2 {
		return nil
	}
	var parts []*block
	for _, p := range b.pieces {
		parts = append(parts, newBlock(b.ask.Unit, b.ask.Function, []span{p}))
	}
	return parts
}

// answers are what the requests of a poll brought.
type answers struct {
	got    []answer
	absent penstock.Status // of what was not even asked for
}

// answer is what a request brought: its data, or the status that stands for why
// there is none.
type answer struct {
	*block
	data   []byte
	failed penstock.Status
}

// find returns the bytes at a place, or the status of the request that was to
// bring them. A bit becomes the two bytes of a register.
func (a *answers) find(at place) ([]byte, penstock.Status) {
	for i := range a.got {
		b := &a.got[i]
		first := int(b.ask.Address)
		if b.ask.Function != at.table || at.first < first || at.end > first+int(b.ask.Count) {
			continue
		}
		if b.failed != penstock.Good {
			return nil, b.failed
		}
		if at.table.Bits() {
			n := at.first - first
			return []byte{0, b.data[n/8] >> (n % 8) & 1}, penstock.Good
		}
		return b.data[2*(at.first-first) : 2*(at.end-first)], penstock.Good
	}
	return nil, a.absent
}

// samples returns what the answers to a poll say about its points at a slot. A
// point that could not be read is told once, until it can be.
func (p *poll) samples(a *answers, slot time.Time) []penstock.Sample {
	var list []penstock.Sample
	for _, r := range p.points {
		s := r.sample(a)
		failed := s.Value.Kind() == penstock.None
		if failed && r.failed {
			continue
		}
		r.failed = failed
		s.Point, s.Unit, s.SourceTime, s.Flags = r.Name, r.Unit, slot.UnixNano(), penstock.GatewayClock
		list = append(list, s)
	}
	return list
}

func (r *reading) sample(a *answers) (s penstock.Sample) {
	raw, status := a.find(r.value)
	if status != penstock.Good {
		s.Status = status
		return s
	}
	if r.Status == nil {
		s.Value, s.Status = r.read(raw)
		return s
	}
	quality, status := a.find(r.status)
	if status != penstock.Good {
		s.Status = status
		return s
	}
	bits := binary.BigEndian.Uint16(quality)
	s.Native = uint32(bits)
	s.Value, s.Status = r.read(raw)
	switch {
	case s.Status != penstock.Good:
	case bits&r.Status.Bad != 0:
		s.Status = badDevice
	case bits&r.Status.Uncertain != 0:
		s.Status = penstock.Uncertain
	}
	return s
}
