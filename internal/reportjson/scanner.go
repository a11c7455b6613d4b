package reportjson

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/penstock/penstock"
)

// scanner reads the tokens of one JSON text from left to right and knows where
// it is. The first failure stays and ends the text, so that callers look at err
// only where they act on what they read.
type scanner struct {
	b    []byte
	at   int // offset of the next byte
	from int // offset of the token that was read last: errors name it
	err  error

	report  int                        // index of the report in an array, -1 outside an array
	sample  int                        // index of the sample, -1 outside samples
	field   field                      // the field being read, 0 for none
	last    field                      // the key that was read last
	guess   [fieldHistorical + 1]field // the key that came after a key: most likely does so again
	scratch []byte                     // holds a string that had escapes
}

// fail notes an error of code Invalid with the offset and the path.
func (s *scanner) fail(format string, args ...any) {
	s.failWith(penstock.Invalid, fmt.Sprintf(format, args...))
}

func (s *scanner) failWith(code penstock.Code, text string) {
	if s.err != nil {
		return
	}
	if path := s.path(); path != "" {
		text = path + ": " + text
	}
	s.err = penstock.Errorf(code, "byte %d, %s", s.from, text)
	s.b = s.b[:s.at] // nothing more can be read
}

// path returns where the scanner is, in the manner of a JSON pointer.
func (s *scanner) path() string {
	var path []byte
	if s.report >= 0 {
		path = strconv.AppendInt(append(path, '/'), int64(s.report), 10)
	}
	if s.sample >= 0 {
		path = strconv.AppendInt(append(path, "/samples/"...), int64(s.sample), 10)
	}
	if s.field != 0 {
		path = append(append(path, '/'), s.field.String()...)
	}
	return string(path)
}

// check notes what a rule of the domain says about the token that was read last.
func (s *scanner) check(err error) {
	if err != nil {
		s.failWith(penstock.CodeOf(err), err.Error())
	}
}

// peek skips white space and returns the byte after it, 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.b) {
		c := s.b[s.at]
		if c > ' ' || c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			s.from = s.at
			return c
		}
		s.at++
	}
	s.from = s.at
	return 0
}

// begins tells whether the next bytes are those of prefix.
func (s *scanner) begins(prefix string) bool {
	return len(s.b)-s.at >= len(prefix) && string(s.b[s.at:s.at+len(prefix)]) == prefix
}

// found says for an error what stands at the next byte.
func (s *scanner) found() string {
	c := s.peek()
	switch {
	case s.at >= len(s.b):
		return "the end"
	case c == '{':
		return "an object"
	case c == '[':
		return "an array"
	case c == '"':
		return "a string"
	case c == '-' || c >= '0' && c <= '9':
		return "a number"
	}
	r, size := utf8.DecodeRune(s.b[s.at:])
	if r == utf8.RuneError && size <= 1 {
		return fmt.Sprintf("the byte 0x%02x", c)
	}
	return strconv.QuoteRune(r)
}

// open takes the byte that begins an object or an array.
func (s *scanner) open(c byte, what string) bool {
	if s.peek() != c {
		s.fail("%s is due, not %s", what, s.found())
		return false
	}
	s.at++
	return true
}

// more tells whether another element follows in an object or array that ends
// with the byte end; n is how many were read. It takes the comma or the end.
func (s *scanner) more(end byte, n int) bool {
	c := s.peek()
	switch {
	case s.err != nil:
		return false
	case c == end:
		s.at++
		return false
	case n == 0:
		return true
	case c != ',':
		s.fail("',' or '%c' is due, not %s", end, s.found())
		return false
	}
	s.at++
	return true
}

// key reads a key and the colon after it. The field must be in the object's set
// and not among those seen, to which it is added.
func (s *scanner) key(of fields, seen *fields) field {
	f := s.guess[s.last]
	if s.peek(); s.begins(quotedNames[f]) && of.has(f) && !seen.has(f) {
		s.at += len(quotedNames[f])
		s.field, s.last = f, f
		*seen |= 1 << f
		return f
	}
	key := s.text("a key in quotes")
	f = fieldOf(key)
	switch {
	case s.err != nil:
		return 0
	case !of.has(f):
		s.unknown(string(key), of)
		return 0
	case seen.has(f):
		s.fail("the key %q stands here twice", f)
		return 0
	}
	*seen |= 1 << f
	s.guess[s.last] = f
	s.field, s.last = f, f
	if s.peek() != ':' {
		s.fail("':' is due, not %s", s.found())
		return 0
	}
	s.at++
	return f
}

func (s *scanner) unknown(key string, of fields) {
	const keep = 40
	if len(key) > keep {
		key = key[:keep]
	}
	if f := nearest(key, of); f != "" {
		s.fail("the key %q is unknown: did you mean %q?", key, f)
		return
	}
	s.fail("the key %q is unknown", key)
}

// literal reads a word that was seen to begin here.
func (s *scanner) literal(word string) bool {
	if s.begins(word) {
		s.at += len(word)
		return true
	}
	s.fail("%q is due here", word)
	return false
}

// end asserts that nothing but white space follows.
func (s *scanner) end() {
	s.field, s.sample = 0, -1
	if s.err == nil && (s.peek() != 0 || s.at < len(s.b)) {
		s.fail("the input goes on after its end with %s", s.found())
	}
}
