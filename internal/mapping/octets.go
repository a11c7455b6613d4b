package mapping

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/mapping/tree"
)

// read puts the fields of a layout into the scope, and returns where they end.
func (l *layout) read(payload []byte, into map[string]any, end int) (int, error) {
	for i := range l.fields {
		f := &l.fields[i]
		b, err := f.cut(payload, 0)
		if err != nil {
			return 0, err
		}
		into[f.name] = f.value(b)
		end = f.at + len(b)
	}
	return end, nil
}

// cut returns the bytes of the field in an element that begins at base.
func (f *layoutField) cut(payload []byte, base int) ([]byte, error) {
	at := base + f.at
	size := f.size
	if size < 0 {
		size = max(0, len(payload)-at)
	}
	if at+size > len(payload) {
		return nil, penstock.Errorf(penstock.Invalid, "field %s stands at bytes %d to %d, and the payload has %d bytes", f.name, at, at+size-1, len(payload))
	}
	return payload[at : at+size], nil
}

// readGroups puts the groups of a layout into the scope as lists.
func (l *layout) readGroups(payload []byte, s *scope, at int) error {
	for i := range l.groups {
		g := &l.groups[i]
		if g.at >= 0 {
			at = g.at
		}
		count, err := g.times(s, len(payload)-at)
		if err != nil {
			return err
		}
		list := make([]any, 0, count)
		for n := range count {
			element := make(map[string]any, len(g.fields))
			for k := range g.fields {
				f := &g.fields[k]
				b, err := f.cut(payload, at+n*g.stride)
				if err != nil {
					return penstock.Errorf(penstock.Invalid, "group %s, element %d of %d: %w", g.name, n, count, err)
				}
				element[f.name] = f.value(b)
			}
			list = append(list, element)
		}
		s.fields[g.name] = list
		at += count * g.stride
	}
	return nil
}

// times returns how often the group comes in the bytes that are left. More than
// can stand there is an error before anything is made.
func (g *layoutGroup) times(s *scope, left int) (int, error) {
	left = max(0, left)
	if g.count.Empty() {
		if left%g.stride != 0 {
			return 0, penstock.Errorf(penstock.Invalid, "group %s has elements of %d bytes, and %d bytes are left for it", g.name, g.stride, left)
		}
		return left / g.stride, nil
	}
	count, err := s.whole(&g.count)
	if err != nil {
		return 0, penstock.Errorf(penstock.Invalid, "group %s: count: %w", g.name, err)
	}
	if count > uint64(left/g.stride) {
		return 0, penstock.Errorf(penstock.Invalid, "group %s should come %d times with %d bytes each, and %d bytes are left for it", g.name, count, g.stride, left)
	}
	return int(count), nil
}

// value reads the bytes of a field: a penstock.Value, or faulty.
func (f *layoutField) value(b []byte) any {
	switch f.form {
	case text:
		s := strings.TrimRight(string(b), "\x00 \r\n")
		if !utf8.ValidString(s) {
			return tree.Faulty{Why: "the bytes are not valid UTF-8"}
		}
		return penstock.TextValue(strings.TrimLeft(s, " "))
	case hexText:
		return penstock.TextValue(hex.EncodeToString(b))
	case cp56time:
		return readCP56(b)
	}
	n := f.number(b)
	switch f.form {
	case bcd:
		return readBCD(n, 2*f.size)
	case bcdtime:
		return readBCDTime(n)
	case signed:
		shift := 64 - 8*f.size
		return penstock.IntValue(int64(n<<shift) >> shift)
	case float:
		if f.size == 4 {
			return penstock.FloatValue(float64(math.Float32frombits(uint32(n))))
		}
		return penstock.FloatValue(math.Float64frombits(n))
	case boolean:
		return penstock.BoolValue(n != 0)
	}
	return penstock.UintValue(n)
}

// number returns the bytes as a number, in the field's order, and of it the bits
// that are the field.
func (f *layoutField) number(b []byte) uint64 {
	var n uint64
	for i := range b {
		at := i
		switch f.order {
		case dcba:
			at = len(b) - 1 - i
		case cdab:
			at = len(b) - 2 - i&^1 + i&1
		case badc:
			at = i ^ 1
		case abcd:
		}
		n = n<<8 | uint64(b[at])
	}
	if f.bits {
		n = n >> f.low & (1<<(f.high-f.low+1) - 1)
	}
	return n
}

// readBCD reads digits, two in a byte. Anything else says that there is no value.
func readBCD(n uint64, digits int) any {
	var v uint64
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		digit := n >> shift & 0xF
		if digit > 9 {
			return tree.Faulty{Why: fmt.Sprintf("%X are no decimal digits", n)}
		}
		v = v*10 + digit
	}
	return penstock.UintValue(v)
}

// readBCDTime reads YYMMDDhhmmss in decimal digits.
func readBCDTime(n uint64) any {
	digits := fmt.Sprintf("%012x", n)
	if strings.Trim(digits, "0123456789") != "" {
		return tree.Faulty{Why: digits + " are no decimal digits of a time"}
	}
	p := []byte("20")
	for i, between := range []string{"-", "-", "T", ":", ":", ""} {
		p = append(append(p, digits[2*i:2*i+2]...), between...)
	}
	return penstock.TextValue(string(p))
}

// readCP56 reads a CP56Time2a of IEC 60870-5. One that the controller marked as
// invalid is no time.
func readCP56(b []byte) any {
	if b[2]&0x80 != 0 {
		return penstock.Value{}
	}
	ms := int(b[0]) | int(b[1])<<8
	return penstock.TextValue(fmt.Sprintf("20%02d-%02d-%02dT%02d:%02d:%02d.%03d",
		b[6]&0x7F, b[5]&0x0F, b[4]&0x1F, b[3]&0x1F, b[2]&0x3F, ms/1000, ms%1000))
}
