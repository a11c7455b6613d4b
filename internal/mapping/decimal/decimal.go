// Package decimal scales values without losing a digit: 123 × 0.1 is 12.3.
package decimal

import (
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"

	"github.com/penstock/penstock"
)

// Number is a decimal number, kept exactly. The zero Number is "not given".
type Number struct {
	text   string
	digits int64
	places int // behind the decimal point
}

// maxPlaces bounds a decimal's digits behind the point: its power of ten is a
// float64 without rounding, and fits an int64.
const maxPlaces = 15

// UnmarshalText reads a number such as -0.05, 1e-3 or 10.
func (d *Number) UnmarshalText(text []byte) error {
	bad := func() error {
		return penstock.Errorf(penstock.Invalid, "%.40q is not a decimal number of at most 15 digits, such as 0.1", text)
	}
	mantissa, exponent, scientific := strings.Cut(strings.ToLower(string(text)), "e")
	shift := 0
	if scientific {
		var err error
		if shift, err = strconv.Atoi(exponent); err != nil || shift < -maxPlaces || shift > maxPlaces {
			return bad()
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits, err := strconv.ParseInt(whole+fraction, 10, 64)
	places := len(fraction) - shift
	if err != nil || len(whole+fraction) > maxPlaces+1 || strings.ContainsAny(fraction, "+-") || places > maxPlaces {
		return bad()
	}
	for ; places < 0; places++ {
		if digits > math.MaxInt64/10 || digits < math.MinInt64/10 {
			return bad()
		}
		digits *= 10
	}
	*d = Number{text: string(text), digits: digits, places: places}
	return nil
}

// MarshalText writes the number as it was read.
func (d Number) MarshalText() ([]byte, error) { return []byte(d.text), nil }

// Given tells whether there is a number.
func (d Number) Given() bool { return d.text != "" }

// Linear is value × scale + offset with both over one power of ten.
type Linear struct {
	scale, offset int64
	power         int64
}

// NewLinear returns nil where neither is given, and false where the two together
// have too many digits.
func NewLinear(scale, offset Number) (*Linear, bool) {
	if !scale.Given() && !offset.Given() {
		return nil, true
	}
	if !scale.Given() {
		scale = Number{digits: 1}
	}
	l := &Linear{power: 1}
	places := max(scale.places, offset.places)
	for range places {
		l.power *= 10
	}
	var fits, fits2 bool
	l.scale, fits = shifted(scale, places)
	l.offset, fits2 = shifted(offset, places)
	return l, fits && fits2
}

func shifted(d Number, places int) (int64, bool) {
	v := d.digits
	for range places - d.places {
		if v > math.MaxInt64/10 || v < math.MinInt64/10 {
			return 0, false
		}
		v *= 10
	}
	return v, true
}

// Apply returns the float64 nearest to the true result for a whole number, and
// for a float64 the result with as few roundings as there are operations.
func (l *Linear) Apply(v penstock.Value) (penstock.Value, bool) {
	switch v.Kind() {
	case penstock.Int64:
		return penstock.FloatValue(l.whole(v.Int(), nil)), true
	case penstock.Uint64:
		if v.Uint() > math.MaxInt64 {
			return penstock.FloatValue(l.whole(0, new(big.Int).SetUint64(v.Uint()))), true
		}
		return penstock.FloatValue(l.whole(int64(v.Uint()), nil)), true
	case penstock.Float64:
		f := v.Float()
		if l.scale != l.power {
			f = f * float64(l.scale) / float64(l.power)
		}
		if l.offset != 0 {
			f += float64(l.offset) / float64(l.power)
		}
		return penstock.FloatValue(f), true
	}
	return v, false
}

// whole returns (v × scale + offset) / power, rounded once. Where large is given
// it stands for v.
func (l *Linear) whole(v int64, large *big.Int) float64 {
	if large == nil {
		high, low := bits.Mul64(magnitude(v), magnitude(l.scale))
		if high == 0 && low < 1<<53 {
			product := v * l.scale
			if sum := product + l.offset; magnitude(l.offset) < 1<<53 && magnitude(sum) <= 1<<53 {
				return float64(sum) / float64(l.power) // both exact: one rounding
			}
		}
		large = big.NewInt(v)
	}
	large = new(big.Int).Mul(large, big.NewInt(l.scale))
	large.Add(large, big.NewInt(l.offset))
	f, _ := new(big.Rat).SetFrac(large, big.NewInt(l.power)).Float64()
	return f
}

func magnitude(v int64) uint64 {
	if v < 0 {
		return uint64(-v)
	}
	return uint64(v)
}
