package framing

import (
	"bytes"
	"encoding/hex"
	"fmt"

	"github.com/penstock/penstock/internal/checksum"
	"github.com/penstock/penstock/internal/evidence"
)

// proof tells whether a frame came whole.
type proof struct {
	algorithm *checksum.Algorithm
	order     checksum.Order
	hex       bool
	after     []byte
	from      int
	behind    bool
}

// newProof returns the proof of a configuration that was checked.
func newProof(c *Checksum) proof {
	if c == nil {
		c = &Checksum{Name: "none"}
	}
	p := proof{hex: c.Hex, after: []byte(c.After), from: c.From, behind: c.Behind}
	p.algorithm, _ = checksum.Find(c.Name)
	if c.Order == "big" {
		p.order = checksum.HighFirst
	}
	return p
}

// size returns how many bytes the checksum takes in a frame, and what stands
// before it.
func (p *proof) size() int {
	n := p.algorithm.Size()
	if p.hex {
		n *= 2
	}
	return n
}

// none tells whether nothing is proven.
func (p *proof) none() bool { return p.algorithm.Size() == 0 }

// holds returns the content of a frame with its checksum at the end, and why it
// does not hold, if it does not.
func (p *proof) holds(frame []byte) ([]byte, *fault) {
	split := len(frame) - p.size()
	// A checksum over nothing proves nothing: that of many algorithms is 0, and so
	// two bytes of zeros on a dead line would be a frame.
	covered := split - len(p.after) - p.from
	if split < len(p.after) || covered < 0 || covered == 0 && !p.none() {
		return nil, &fault{event: evidence.Framing, why: func() string {
			return fmt.Sprintf("%d bytes are too few for a frame with its checksum", len(frame))
		}}
	}
	content := frame[:split-len(p.after)]
	if !bytes.Equal(frame[len(content):split], p.after) {
		return nil, &fault{event: evidence.Framing, why: func() string {
			return fmt.Sprintf("%q is not where it stands before the checksum", p.after)
		}}
	}
	return content, p.compare(content[p.from:], frame[split:])
}

// compare returns why the checksum on the wire is not that of what it covers; nil
// when it is.
func (p *proof) compare(covered, wire []byte) *fault {
	if p.none() {
		return nil
	}
	if p.hex {
		raw, err := hex.DecodeString(string(wire))
		if err != nil {
			return &fault{event: evidence.Checksum, why: func() string {
				return fmt.Sprintf("%q are no hexadecimal digits of a checksum", wire)
			}}
		}
		wire = raw
	}
	got, sum := p.algorithm.Read(wire, p.order), p.algorithm.Sum(covered)
	if got == sum {
		return nil
	}
	return &fault{event: evidence.Checksum, why: func() string { return p.mismatch(covered, got, sum) }}
}

// mismatch says what is wrong when the frame has got and its content sum.
func (p *proof) mismatch(covered []byte, got, sum uint32) string {
	title := p.algorithm.Title()
	if variant, ok := p.algorithm.Variant(covered, got); ok {
		return fmt.Sprintf("fails %s but passes %s: a setting, not the cable", title, variant)
	}
	width := 2 * p.algorithm.Size()
	return fmt.Sprintf("the %s is %0*X, and the frame says %0*X", title, width, sum, width, got)
}
