package reportjson

import (
	"math"
	"strconv"

	"github.com/penstock/penstock"
)

// maxNumber bounds the bytes of a number.
const maxNumber = 1024

// powers holds the powers of ten that a float64 holds exactly.
var powers = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// decimal is a number as it was written: digits × 10^exponent.
type decimal struct {
	text     []byte
	digits   uint64 // meaningful when exact
	exponent int    // meaningful when exact
	negative bool
	float    bool // written with a fraction or an exponent
	exact    bool // digits and exponent hold all that was written
}

// number reads a number. Without fraction and exponent it is an int64, or a
// uint64 where it is too large for that; otherwise it is the float64 nearest to
// it. "-0" is the float −0.0, for no integer can hold it.
func (s *scanner) number() penstock.Value {
	d, ok := s.decimal()
	switch {
	case !ok:
		return penstock.Value{}
	case d.float:
		return s.float(d)
	case d.negative && d.exact && d.digits == 0:
		return penstock.FloatValue(math.Copysign(0, -1))
	case d.negative && d.exact && d.digits <= 1<<63:
		return penstock.IntValue(-int64(d.digits))
	case !d.negative && d.exact && d.digits <= math.MaxInt64:
		return penstock.IntValue(int64(d.digits))
	}
	if v, err := strconv.ParseUint(string(d.text), 10, 64); err == nil {
		return penstock.UintValue(v)
	}
	s.fail("the integer has more than 64 bits: write it with a fraction (.0) to store the nearest float64")
	return penstock.Value{}
}

func (s *scanner) float(d decimal) penstock.Value {
	if d.exact && d.digits <= 1<<53 && -22 <= d.exponent && d.exponent <= 22 {
		v := float64(d.digits) // one rounding at most follows, so the result is the nearest
		if d.exponent < 0 {
			v /= powers[-d.exponent]
		} else {
			v *= powers[d.exponent]
		}
		if d.negative {
			v = -v
		}
		return penstock.FloatValue(v)
	}
	v, err := strconv.ParseFloat(string(d.text), 64)
	if err != nil {
		s.fail("the number is outside the range of a float64")
		return penstock.Value{}
	}
	return penstock.FloatValue(v)
}

// decimal reads a number as JSON writes them: no sign +, no needless zero before
// it, and a digit on both sides of the point.
func (s *scanner) decimal() (decimal, bool) {
	d := decimal{exact: true}
	start := s.at
	if s.at < len(s.b) && s.b[s.at] == '-' {
		d.negative = true
		s.at++
	}
	first := s.at
	if s.run(&d) == 0 {
		s.fail("a number is due, not %s", s.found())
		return d, false
	}
	if s.b[first] == '0' && s.at > first+1 {
		s.fail("a number does not begin with a needless 0")
		return d, false
	}
	if s.at < len(s.b) && s.b[s.at] == '.' {
		s.at++
		d.float = true
		n := s.run(&d)
		if n == 0 {
			s.fail("a digit is due after the decimal point")
			return d, false
		}
		d.exponent -= n
	}
	if s.at < len(s.b) && s.b[s.at]|0x20 == 'e' {
		s.at++
		d.float = true
		if !s.exponent(&d) {
			s.fail("a digit is due in the exponent")
			return d, false
		}
	}
	if s.at-start > maxNumber {
		s.fail("a number has at most %d bytes", maxNumber)
		return d, false
	}
	d.text = s.b[start:s.at]
	return d, true
}

// run reads digits into d and returns how many there were.
func (s *scanner) run(d *decimal) int {
	const most = (math.MaxUint64 - 9) / 10
	b, at, digits := s.b, s.at, d.digits
	for at < len(b) {
		c := b[at] - '0'
		if c > 9 {
			break
		}
		if digits > most {
			d.exact = false
		}
		digits = digits*10 + uint64(c)
		at++
	}
	n := at - s.at
	s.at, d.digits = at, digits
	return n
}

// exponent reads the sign and the digits after the e.
func (s *scanner) exponent(d *decimal) bool {
	negative := false
	if s.at < len(s.b) && (s.b[s.at] == '-' || s.b[s.at] == '+') {
		negative = s.b[s.at] == '-'
		s.at++
	}
	e := decimal{exact: true}
	if s.run(&e) == 0 {
		return false
	}
	switch {
	case !e.exact || e.digits > 1000:
		d.exact = false
	case negative:
		d.exponent -= int(e.digits)
	default:
		d.exponent += int(e.digits)
	}
	return true
}
