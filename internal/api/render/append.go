package render

import (
	"bytes"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/penstock/penstock"
)

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		b := s[i]
		if b >= 0x20 && b != '"' && b != '\\' && b < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if b >= utf8.RuneSelf && (r != utf8.RuneError || n > 1) && r != '\u2028' && r != '\u2029' {
			i += n
			continue
		}
		dst = append(dst, s[start:i]...)
		switch {
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b < 0x20:
			dst = append(dst, `\u00`...)
			dst = append(dst, hexDigits[b>>4], hexDigits[b&15])
		case r == utf8.RuneError:
			dst = append(dst, `\ufffd`...)
		default: // line ends to JavaScript, and not to JSON
			dst = append(dst, `\u202`...)
			dst = append(dst, hexDigits[r&15])
		}
		i += n
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// AppendValue appends a value in JSON so that reading it gives the same kind and
// the same bits: a float always has a fraction or an exponent, integers all
// their digits, none is null. NaN and the infinities, which JSON has not, are
// the strings "NaN", "Infinity" and "-Infinity".
func AppendValue(dst []byte, v penstock.Value) []byte {
	switch v.Kind() {
	case penstock.None:
		return append(dst, "null"...)
	case penstock.Text:
		return AppendString(dst, v.Text())
	case penstock.Float64:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return AppendString(dst, floatName(f))
		}
	}
	return AppendPlain(dst, v)
}

// AppendPlain appends a value as text without quotes, for CSV: none is empty.
func AppendPlain(dst []byte, v penstock.Value) []byte {
	switch v.Kind() {
	case penstock.Float64:
		return appendFloat(dst, v.Float())
	case penstock.Int64:
		return strconv.AppendInt(dst, v.Int(), 10)
	case penstock.Uint64:
		return strconv.AppendUint(dst, v.Uint(), 10)
	case penstock.Bool:
		return strconv.AppendBool(dst, v.Bool())
	case penstock.Text:
		return append(dst, v.Text()...)
	}
	return dst
}

func appendFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, floatName(f)...)
	}
	// As in JavaScript: digits as far as a person can take them in.
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, format, -1, 64)
	if bytes.IndexByte(dst[start:], '.') < 0 && format == 'f' {
		dst = append(dst, ".0"...)
	}
	return dst
}

func floatName(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return "NaN"
}

// TimeFormat says how times are written.
type TimeFormat uint8

// The formats of time.
const (
	RFC3339     TimeFormat = iota // 2026-11-22T06:00:00.123456789Z, with as many digits as it needs
	Nanoseconds                   // integer nanoseconds since 1970 UTC
)

// AppendTime appends a time, without quotes.
func AppendTime(dst []byte, ns int64, f TimeFormat) []byte {
	if f == Nanoseconds {
		return strconv.AppendInt(dst, ns, 10)
	}
	return time.Unix(0, ns).UTC().AppendFormat(dst, time.RFC3339Nano)
}

// AppendJSONTime appends a time as a JSON value: a string or a number.
func AppendJSONTime(dst []byte, ns int64, f TimeFormat) []byte {
	if f == Nanoseconds {
		return AppendTime(dst, ns, f)
	}
	dst = append(dst, '"')
	dst = AppendTime(dst, ns, f)
	return append(dst, '"')
}
