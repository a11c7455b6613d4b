package framing

import (
	"bytes"

	"github.com/penstock/penstock/internal/evidence"
)

// delimited cuts frames that end with a delimiter. What cannot be unpacked, or
// whose checksum does not hold, is one bad frame: the delimiter begins the next.
type delimited struct {
	end      []byte
	unpack   func([]byte) ([]byte, bool) // undoes the stuffing; nil for none
	proof    proof
	max      int
	overlong bool // the begin of this frame was thrown away already
}

func (d *delimited) cut(b []byte, _ bool) cut {
	at := bytes.Index(b, d.end)
	if at < 0 {
		if len(b) <= d.max+len(d.end) {
			return cut{}
		}
		d.overlong = true
		return cut{size: len(b) - len(d.end) + 1}
	}
	whole := at + len(d.end)
	if d.overlong || at > d.max {
		d.overlong = false
		return cut{size: whole}
	}
	if at == 0 {
		return cut{size: whole, silent: true} // delimiters between frames: nothing was lost
	}
	frame := b[:at]
	if d.unpack != nil {
		var ok bool
		if frame, ok = d.unpack(frame); !ok {
			return cut{size: whole, fault: &fault{evidence.Framing, whole, brokenStuffing}}
		}
	}
	body, why := d.proof.holds(frame)
	if why != nil {
		why.claimed = whole
		return cut{size: whole, fault: why}
	}
	return cut{size: whole, body: body, good: true}
}

// between cuts frames that stand between two marks.
type between struct {
	start, end, escape []byte
	mask               byte
	proof              proof
	max                int
}

func (m *between) cut(b []byte, _ bool) cut {
	if n := min(len(b), len(m.start)); !bytes.Equal(b[:n], m.start[:n]) {
		return skip()
	}
	content, end := m.content(b)
	total := end
	if m.proof.behind {
		total += m.proof.size()
	}
	switch {
	case end < 0 && len(b) > m.max || total > m.max:
		return skip()
	case end < 0 || len(b) < total:
		return cut{}
	}
	if m.proof.none() {
		if again := bytes.LastIndex(b[1:end], m.start); again >= 0 {
			return cut{size: again + 1} // another begins in it, so it was cut
		}
	}
	body, why := m.holds(content, b[end:total])
	if why != nil {
		why.claimed = total
		return cut{size: 1, fault: why}
	}
	return cut{size: total, body: body, good: true}
}

// holds returns the body, or why the frame does not hold.
func (m *between) holds(content, behind []byte) ([]byte, *fault) {
	if !m.proof.behind {
		return m.proof.holds(content)
	}
	covered := append(bytes.Clone(content), m.end...)
	return content, m.proof.compare(covered[min(m.proof.from, len(covered)):], behind)
}

// content returns what stands between the marks, without escapes, and where the
// frame ends; −1 when that is not there yet.
func (m *between) content(b []byte) ([]byte, int) {
	if len(m.escape) == 0 {
		at := indexFrom(b, m.end, len(m.start))
		if at < 0 {
			return nil, -1
		}
		return b[len(m.start):at], at + len(m.end)
	}
	var content []byte
	for i := len(m.start); i < len(b); i++ {
		switch {
		case bytes.HasPrefix(b[i:], m.end):
			return content, i + len(m.end)
		case b[i] != m.escape[0]:
			content = append(content, b[i])
		case i+1 < len(b):
			i++
			content = append(content, b[i]^m.mask)
		}
	}
	return nil, -1
}

func brokenStuffing() string {
	return "the stuffing of the bytes is broken: some of them are missing or damaged"
}

// The bytes of SLIP (RFC 1055).
const (
	slipEnd       = 0xC0
	slipEscape    = 0xDB
	slipEscapeEnd = 0xDC
	slipEscapeEsc = 0xDD
)

// unslip undoes the stuffing of SLIP.
func unslip(b []byte) ([]byte, bool) {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != slipEscape {
			out = append(out, b[i])
			continue
		}
		if i++; i == len(b) {
			return nil, false
		}
		switch b[i] {
		case slipEscapeEnd:
			out = append(out, slipEnd)
		case slipEscapeEsc:
			out = append(out, slipEscape)
		default:
			return nil, false
		}
	}
	return out, true
}

// uncobs undoes consistent overhead byte stuffing.
func uncobs(b []byte) ([]byte, bool) {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		n := int(b[0])
		if n == 0 || n > len(b) {
			return nil, false
		}
		out = append(out, b[1:n]...)
		b = b[n:]
		if n < 0xFF && len(b) > 0 {
			out = append(out, 0)
		}
	}
	return out, true
}
