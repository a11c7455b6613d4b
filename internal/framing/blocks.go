package framing

import (
	"bytes"
	"fmt"

	"github.com/penstock/penstock/internal/evidence"
)

// blocks cuts frames that have a checksum of their own behind their head, and one
// behind each block of the rest, as DNP3 and wireless M-Bus have them. The head is
// proven before its length is believed.
type blocks struct {
	sized
	head  int    // bytes before the first checksum; 0 when the first is that of a block
	block int    // bytes of each block behind; 0 when all the rest is one
	body  []byte // of the last good frame
}

func newBlocks(c Config, p proof) *blocks {
	return &blocks{sized: *newSized(c, p), head: c.Checksum.Head, block: c.Checksum.Block}
}

func (s *blocks) cut(b []byte, _ bool) cut {
	if n := min(len(b), len(s.start)); !bytes.Equal(b[:n], s.start[:n]) {
		return skip()
	}
	if s.head > 0 {
		proven := s.head + s.proof.size()
		if len(b) < proven {
			return cut{}
		}
		if why := s.proof.compare(b[:s.head], b[s.head:proven]); why != nil {
			return cut{size: 1, fault: s.broken(why, "head", proven)}
		}
	}
	content, told := s.total(b)
	switch {
	case told == untold:
		return cut{}
	case told == contradicted || content < max(s.head, s.at+s.field, 1) || content > s.max:
		return skip()
	}
	total := s.wire(content)
	switch {
	case total > s.max:
		return skip()
	case len(b) < total:
		return cut{}
	}
	if why := s.read(b[:total], content); why != nil {
		return cut{size: 1, fault: why}
	}
	return cut{size: total, body: s.body, good: true}
}

// part returns how many bytes the checksum behind the next part of a frame covers,
// when left are left of its content.
func (s *blocks) part(first bool, left int) int {
	switch {
	case first && s.head > 0:
		return s.head
	case s.block > 0:
		return min(s.block, left)
	}
	return left
}

// wire returns how many bytes a frame has with its checksums.
func (s *blocks) wire(content int) int {
	total := content
	for left, first := content, true; left > 0; first = false {
		left -= s.part(first, left)
		total += s.proof.size()
	}
	return total
}

// read takes the content out of a frame, and tells which part does not hold.
func (s *blocks) read(frame []byte, content int) *fault {
	s.body = s.body[:0]
	total := len(frame)
	for number := 0; len(s.body) < content; number++ {
		n := s.part(number == 0, content-len(s.body))
		if why := s.proof.compare(frame[:n], frame[n:n+s.proof.size()]); why != nil {
			return s.broken(why, fmt.Sprintf("block %d", number), total)
		}
		s.body = append(s.body, frame[:n]...)
		frame = frame[n+s.proof.size():]
	}
	return nil
}

// broken says in which part of the frame the fault is.
func (s *blocks) broken(f *fault, part string, claimed int) *fault {
	why := f.why
	return &fault{event: evidence.Checksum, claimed: claimed, why: func() string { return part + ": " + why() }}
}
