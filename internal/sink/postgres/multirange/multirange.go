// Package multirange reads and writes PostgreSQL's int8multirange as text.
package multirange

import (
	"math"
	"strconv"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/interval"
)

// Append appends the text of the set to dst: {[1,8),[9,10)}. Its numbers must be
// less than 2^63-1, which those of positions and sequences are.
func Append(dst []byte, set *interval.Set) []byte {
	dst = append(dst, '{')
	first := true
	for span := range set.All {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, '[')
		dst = strconv.AppendUint(dst, span.First, 10)
		dst = append(dst, ',')
		dst = strconv.AppendUint(dst, span.Last+1, 10)
		dst = append(dst, ')')
	}
	return append(dst, '}')
}

// Format returns the text of the set.
func Format(set *interval.Set) string { return string(Append(nil, set)) }

// Parse reads the canonical form in which PostgreSQL writes a multirange of
// numbers from 0 to 2^63-1. Anything else, such as a range without an end, is an
// error of code [penstock.Corrupt].
func Parse(text string) (interval.Set, error) {
	var set interval.Set
	rest, ok := strings.CutPrefix(text, "{")
	if rest, ok = cutSuffix(rest, ok, "}"); !ok {
		return interval.Set{}, malformed(text)
	}
	for end, more := uint64(0), rest != ""; more; {
		var one string
		one, rest, more = strings.Cut(rest, "),")
		if !more {
			one, ok = strings.CutSuffix(one, ")")
		}
		first, until, fits := bounds(one)
		if !ok || !fits || set.Spans() > 0 && first <= end {
			return interval.Set{}, malformed(text)
		}
		set.Add(first, until-1)
		end = until
	}
	return set, nil
}

func cutSuffix(s string, ok bool, suffix string) (string, bool) {
	if !ok {
		return s, false
	}
	return strings.CutSuffix(s, suffix)
}

// bounds reads "[first,until".
func bounds(s string) (first, until uint64, ok bool) {
	s, open := strings.CutPrefix(s, "[")
	low, high, comma := strings.Cut(s, ",")
	first, errFirst := strconv.ParseUint(low, 10, 63)
	until, errUntil := strconv.ParseUint(high, 10, 63)
	canonical := strconv.FormatUint(first, 10) == low && strconv.FormatUint(until, 10) == high
	return first, until, open && comma && errFirst == nil && errUntil == nil && canonical && first < until && until <= math.MaxInt64
}

func malformed(text string) error {
	const shown = 60
	if len(text) > shown {
		text = text[:shown]
	}
	return penstock.Errorf(penstock.Corrupt, "%q is no set of numbers as Penstock writes them", text)
}
