package sim

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/penstock/penstock"
)

// AppendJSON appends a report as the HTTP API takes it. A float always has a
// fraction or an exponent, so that the gateway cannot take it for an integer.
// The report's identity must be a sequence, and no float may be NaN or infinite:
// JSON cannot say them.
func AppendJSON(dst []byte, r *penstock.Report) []byte {
	dst = append(dst, `{"controller":`...)
	dst = appendText(dst, r.Controller)
	dst = append(dst, `,"epoch":`...)
	dst = strconv.AppendUint(dst, r.Identity.Epoch, 10)
	dst = append(dst, `,"seq":`...)
	dst = strconv.AppendUint(dst, r.Identity.Seq, 10)
	dst = append(dst, `,"samples":[`...)
	for i := range r.Samples {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendSample(dst, &r.Samples[i])
	}
	return append(dst, "]}"...)
}

func appendSample(dst []byte, s *penstock.Sample) []byte {
	dst = append(dst, `{"point":`...)
	dst = appendText(dst, s.Point)
	dst = append(dst, `,"time":`...)
	dst = strconv.AppendInt(dst, s.SourceTime, 10)
	dst = append(dst, `,"value":`...)
	dst = AppendValue(dst, s.Value)
	if s.Status != penstock.Good {
		dst = append(dst, `,"status":`...)
		dst = strconv.AppendUint(dst, uint64(s.Status), 10)
	}
	if s.Unit != "" {
		dst = append(dst, `,"unit":`...)
		dst = appendText(dst, s.Unit)
	}
	return append(dst, '}')
}

// AppendValue appends a value in JSON.
func AppendValue(dst []byte, v penstock.Value) []byte {
	switch v.Kind() {
	case penstock.Float64:
		start := len(dst)
		dst = strconv.AppendFloat(dst, v.Float(), 'g', -1, 64)
		if !bytes.ContainsAny(dst[start:], ".e") {
			dst = append(dst, ".0"...)
		}
		return dst
	case penstock.Int64:
		return strconv.AppendInt(dst, v.Int(), 10)
	case penstock.Uint64:
		return strconv.AppendUint(dst, v.Uint(), 10)
	case penstock.Bool:
		return strconv.AppendBool(dst, v.Bool())
	case penstock.Text:
		return appendText(dst, v.Text())
	}
	return append(dst, "null"...)
}

// appendText appends a JSON string. Names and modes are mostly plain ASCII.
func appendText(dst []byte, s string) []byte {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == '"' || s[i] == '\\' || s[i] >= utf8.RuneSelf {
			quoted, _ := json.Marshal(s) // a string cannot fail
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// Holds tells whether a JSON value is exactly v: bit for bit, of the same kind,
// except that a float may be written like an integer.
func Holds(raw []byte, v penstock.Value) bool {
	switch v.Kind() {
	case penstock.Float64:
		f, err := strconv.ParseFloat(string(raw), 64)
		return err == nil && math.Float64bits(f) == v.Bits()
	case penstock.Text:
		var s string
		return json.Unmarshal(raw, &s) == nil && s == v.Text()
	}
	var room [32]byte
	return bytes.Equal(raw, AppendValue(room[:0], v))
}
