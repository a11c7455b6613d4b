package reportjson

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// text reads a string and returns what it says: a part of the input or of the
// scratch buffer, good until the next call. What tells what is due, for the error.
func (s *scanner) text(what string) []byte {
	if s.peek() != '"' {
		s.fail("%s is due, not %s", what, s.found())
		return nil
	}
	start := s.at + 1
	for i := plain(s.b, start); i < len(s.b); i++ {
		switch c := s.b[i]; {
		case c == '"':
			s.at = i + 1
			return s.b[start:i]
		case c == '\\' || c >= utf8.RuneSelf:
			return s.rest(start, i)
		case c < ' ':
			s.control(i)
			return nil
		}
	}
	s.fail("the string has no end")
	return nil
}

// plain returns the index of the first byte from i on that may be other than a
// plain character of a string: a quote, a backslash, a control character, or not
// ASCII. It looks at eight bytes at once, and leaves fewer to the caller.
func plain(b []byte, i int) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(b); i += 8 {
		v := binary.LittleEndian.Uint64(b[i:])
		quote, slash, control := v^('"'*ones)-ones, v^('\\'*ones)-ones, v-' '*ones
		// A byte's top bit is set where a subtraction borrowed; the lowest is exact.
		if found := (quote | slash | control | v) & tops; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	return i
}

// control fails because a byte below 0x20 stands in a string.
func (s *scanner) control(i int) {
	s.from = i
	s.fail("a control character (0x%02x) in a string is written with a backslash", s.b[i])
}

// rest reads a string on from index i, where the first byte stands that is an
// escape or not ASCII, into the scratch buffer.
func (s *scanner) rest(start, i int) []byte {
	out := append(s.scratch[:0], s.b[start:i]...)
	for i < len(s.b) {
		switch c := s.b[i]; {
		case c == '"':
			s.at = i + 1
			s.scratch = out
			if !utf8.Valid(out) {
				s.fail("the string is not valid UTF-8")
				return nil
			}
			return out
		case c < ' ':
			s.control(i)
			return nil
		case c != '\\':
			out = append(out, c)
			i++
		default:
			var size int
			if out, size = appendEscape(out, s.b[i:]); size == 0 {
				s.from = i
				s.fail("what follows the backslash is no escape of JSON")
				return nil
			}
			i += size
		}
	}
	s.fail("the string has no end")
	return nil
}

// appendEscape appends the character that the escape at the start of b stands
// for, and returns the bytes that it takes, 0 when it is none. A lone half of a
// pair of surrogates is none.
func appendEscape(out, b []byte) ([]byte, int) {
	if len(b) < 2 {
		return out, 0
	}
	switch c := b[1]; c {
	case '"', '\\', '/':
		return append(out, c), 2
	case 'b':
		return append(out, '\b'), 2
	case 'f':
		return append(out, '\f'), 2
	case 'n':
		return append(out, '\n'), 2
	case 'r':
		return append(out, '\r'), 2
	case 't':
		return append(out, '\t'), 2
	}
	r := unicodeEscape(b)
	if r < 0 {
		return out, 0
	}
	if !utf16.IsSurrogate(r) {
		return utf8.AppendRune(out, r), 6
	}
	if r = utf16.DecodeRune(r, unicodeEscape(b[6:])); r == utf8.RuneError {
		return out, 0
	}
	return utf8.AppendRune(out, r), 12
}

// unicodeEscape returns the number of the escape \uXXXX at the start of b, -1
// when there is none.
func unicodeEscape(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}
