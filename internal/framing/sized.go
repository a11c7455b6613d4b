package framing

import "bytes"

// sized cuts frames that tell their length or have all the same.
type sized struct {
	start, end []byte
	at, field  int // of the length
	little     bool
	repeated   bool // the length stands twice, and the start again behind it
	adds       int
	fixed      int // bytes of every frame, 0 for told by the field
	least      int
	max        int
	proof      proof
}

func newSized(c Config, p proof) *sized {
	s := &sized{start: []byte(c.Start), end: []byte(c.End), fixed: c.Size, max: c.max(), proof: p}
	s.least = max(1, len(s.start)+len(s.end)+p.size()+len(p.after))
	if l := c.Length; l != nil {
		s.at, s.field, s.little, s.adds, s.repeated = l.At, max(1, l.Size), l.Order == "little", l.Adds, l.Repeated
		s.least = max(s.least, s.front())
	}
	return s
}

// front returns how many bytes there are up to the end of what tells the length.
func (s *sized) front() int {
	if s.repeated {
		return s.at + 2*s.field + len(s.start)
	}
	return s.at + s.field
}

// skip takes one byte away: the next one may begin a frame.
func skip() cut { return cut{size: 1} }

func (s *sized) cut(b []byte, pause bool) cut {
	if n := min(len(b), len(s.start)); !bytes.Equal(b[:n], s.start[:n]) {
		return skip()
	}
	total, told := s.total(b)
	switch {
	case told == untold || told == plain && total >= s.least && total <= s.max && len(b) < total:
		if pause && s.proof.none() {
			return skip() // nothing but the pause tells where a frame ends
		}
		return cut{}
	case told == contradicted || total < s.least || total > s.max:
		return skip()
	case !bytes.HasSuffix(b[:total], s.end):
		return skip()
	}
	body, why := s.proof.holds(b[:total-len(s.end)])
	if why != nil {
		why.claimed = total
		return cut{size: 1, fault: why}
	}
	return cut{size: total, body: body, good: true}
}

// telling is whether a frame tells its length.
type telling uint8

const (
	untold       telling = iota // more bytes are due
	plain                       // it does
	contradicted                // it tells it twice, and not the same
)

// total returns how many bytes the frame at the begin of b claims to have.
func (s *sized) total(b []byte) (int, telling) {
	if s.fixed > 0 {
		return s.fixed, plain
	}
	if len(b) < s.front() {
		return 0, untold
	}
	field, again := b[s.at:s.at+s.field], b[s.at+s.field:s.front()]
	if s.repeated && (!bytes.Equal(field, again[:s.field]) || !bytes.Equal(again[s.field:], s.start)) {
		return 0, contradicted
	}
	n := 0
	for i, octet := range field {
		if s.little {
			n |= int(octet) << (8 * i)
		} else {
			n = n<<8 | int(octet)
		}
	}
	return n + s.adds, plain
}
