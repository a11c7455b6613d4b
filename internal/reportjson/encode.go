package reportjson

import (
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/penstock/penstock"
)

// TimeFormat is a way to write a time.
type TimeFormat uint8

// The ways to write a time.
const (
	RFC3339     TimeFormat = iota // "2026-11-22T06:00:00.123456789Z", in quotes, always nine decimals
	Nanoseconds                   // 1795327200123456789, nanoseconds since 1970 UTC
)

// AppendReport appends the report as one JSON object, as [Decoder] reads it: a
// controller's report survives bit for bit, but that an unsigned integer below
// 2⁶³ comes back signed, since JSON does not tell them apart. What the gateway
// found out about a report is not written. A float that is not finite is an error
// of code [penstock.Invalid], since JSON has no number for it; dst is then
// returned as it was.
func AppendReport(dst []byte, r *penstock.Report) ([]byte, error) {
	start := len(dst)
	dst = append(dst, `{"controller":`...)
	dst = AppendString(dst, r.Controller)
	switch r.Identity.Form {
	case penstock.Sequence:
		dst = append(dst, `,"epoch":`...)
		dst = strconv.AppendUint(dst, r.Identity.Epoch, 10)
		dst = append(dst, `,"seq":`...)
		dst = strconv.AppendUint(dst, r.Identity.Seq, 10)
	case penstock.Keyed:
		dst = append(dst, `,"key":`...)
		dst = AppendString(dst, r.Identity.Key)
	case penstock.Natural:
	}
	dst = append(dst, `,"samples":[`...)
	for i := range r.Samples {
		if i > 0 {
			dst = append(dst, ',')
		}
		s := &r.Samples[i]
		if v := s.Value.Float(); s.Value.Kind() == penstock.Float64 && (math.IsNaN(v) || math.IsInf(v, 0)) {
			return dst[:start], penstock.Errorf(penstock.Invalid,
				"samples/%d, point %q: JSON has no number for %v: send the report in binary, or no value with a bad status", i, s.Point, v)
		}
		dst = appendSample(dst, s)
	}
	return append(dst, `]}`...), nil
}

func appendSample(dst []byte, s *penstock.Sample) []byte {
	dst = append(dst, `{"point":`...)
	dst = AppendString(dst, s.Point)
	if s.Flags&penstock.GatewayClock == 0 || s.SourceTime != 0 {
		dst = append(dst, `,"time":`...)
		dst = AppendTime(dst, s.SourceTime, RFC3339)
	}
	dst = append(dst, `,"value":`...)
	dst = AppendValue(dst, s.Value)
	if s.Status != penstock.Good {
		dst = append(dst, `,"status":`...)
		dst = appendStatus(dst, s.Status)
	}
	if s.Unit != "" {
		dst = append(dst, `,"unit":`...)
		dst = AppendString(dst, s.Unit)
	}
	if s.Native != 0 {
		dst = append(dst, `,"native":`...)
		dst = strconv.AppendUint(dst, uint64(s.Native), 10)
	}
	if s.Flags&penstock.Historical != 0 {
		dst = append(dst, `,"historical":true`...)
	}
	return append(dst, '}')
}

// appendStatus appends the name of a status, or its number where the name would
// not say all of it.
func appendStatus(dst []byte, status penstock.Status) []byte {
	name := status.String()
	if back, err := penstock.ParseStatus(name); err != nil || back != status {
		return strconv.AppendUint(dst, uint64(status), 10)
	}
	return AppendString(dst, name)
}

// AppendValue appends a value: a float64 in the fewest digits that give it back,
// always with a fraction or an exponent (12.0, −0.0 as -0.0), integers in all
// their digits, true or false, a text as a string, none as null. A float that is
// not finite becomes the string "NaN", "Infinity" or "-Infinity".
func AppendValue(dst []byte, v penstock.Value) []byte {
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
		return AppendString(dst, v.Text())
	case penstock.None:
	}
	return append(dst, "null"...)
}

func appendFloat(dst []byte, v float64) []byte {
	size := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return append(dst, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(dst, `"-Infinity"`...)
	case size != 0 && (size < 1e-6 || size >= 1e21):
		return strconv.AppendFloat(dst, v, 'e', -1, 64)
	}
	dst = strconv.AppendFloat(dst, v, 'f', -1, 64)
	if v == math.Trunc(v) {
		dst = append(dst, ".0"...)
	}
	return dst
}

// AppendTime appends a time, which is in nanoseconds since 1970 UTC.
func AppendTime(dst []byte, nanos int64, format TimeFormat) []byte {
	if format == Nanoseconds {
		return strconv.AppendInt(dst, nanos, 10)
	}
	seconds, fraction := nanos/nanosPerSec, nanos%nanosPerSec
	if fraction < 0 {
		seconds, fraction = seconds-1, fraction+nanosPerSec
	}
	day, ofDay := seconds/secondsPerDay, int(seconds%secondsPerDay)
	if ofDay < 0 {
		day, ofDay = day-1, ofDay+secondsPerDay
	}
	year, month, monthDay := date(int(day))
	text := [32]byte{0: '"', 5: '-', 8: '-', 11: 'T', 14: ':', 17: ':', 20: '.', 30: 'Z', 31: '"'}
	putDigits(text[1:5], year)
	putDigits(text[6:8], month)
	putDigits(text[9:11], monthDay)
	putDigits(text[12:14], ofDay/3600)
	putDigits(text[15:17], ofDay/60%60)
	putDigits(text[18:20], ofDay%60)
	putDigits(text[21:30], int(fraction))
	return append(dst, text[:]...)
}

// putDigits fills b with the digits of n, with zeros before it.
func putDigits(b []byte, n int) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}

// AppendString appends s as a JSON string. Bytes that are not valid UTF-8 become
// U+FFFD, and what ends a line to JavaScript, though not to JSON, is escaped.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			switch {
			case r == utf8.RuneError && size == 1:
				dst = append(append(dst, s[done:i]...), "\ufffd"...)
				done = i + size
			case r == '\u2028' || r == '\u2029':
				dst = append(append(dst, s[done:i]...), '\\', 'u', '2', '0', '2', hex[r&15])
				done = i + size
			}
			i += size
			continue
		}
		dst = append(dst, s[done:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		done = i
	}
	return append(append(dst, s[done:]...), '"')
}
