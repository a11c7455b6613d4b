package framing

import "bytes"

// sized cuts frames that tell their length or have all the same.
type sized struct {
	start, end []byte
	at, field  int // of the length
	little     bool
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
		s.at, s.field, s.little, s.adds = l.At, max(1, l.Size), l.Order == "little", l.Adds
		s.least = max(s.least, s.at+s.field)
	}
	return s
}

// skip takes one byte away: the next one may begin a frame.
func skip() cut { return cut{size: 1} }

func (s *sized) cut(b []byte, pause bool) cut {
	if n := min(len(b), len(s.start)); !bytes.Equal(b[:n], s.start[:n]) {
		return skip()
	}
	total, known := s.total(b)
	switch {
	case !known || known && total >= s.least && total <= s.max && len(b) < total:
		if pause && s.proof.none() {
			return skip() // nothing but the pause tells where a frame ends
		}
		return cut{}
	case total < s.least || total > s.max:
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

// total returns how many bytes the frame at the begin of b claims to have, and
// false when that is not there yet.
func (s *sized) total(b []byte) (int, bool) {
	if s.fixed > 0 {
		return s.fixed, true
	}
	if len(b) < s.at+s.field {
		return 0, false
	}
	n := 0
	for i, octet := range b[s.at : s.at+s.field] {
		if s.little {
			n |= int(octet) << (8 * i)
		} else {
			n = n<<8 | int(octet)
		}
	}
	return n + s.adds, true
}
