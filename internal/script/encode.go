package script

import (
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/penstock/penstock"
)

// A request is a report as run of prelude.js takes it, a JSON object:
//
//	c f e q k   controller, source, epoch and seq, key
//	r           received time, nanoseconds in a string
//	p v         of each sample the point and the value, null for none
//	u           the unit: one for all samples, or a list
//	t           the time in nanoseconds in a string, null for none yet: one for all
//	            samples, or a list
//	y           the kind of value: one for all samples, or a list
//	x           what few samples have: i (which one), b (an integer beyond 2⁵³),
//	            f (a float that JSON has not), s (a status that is not Good), n (native
//	            bits), h (historical), g (the gateway's clock)

// largestExact bounds the integers that JavaScript's numbers hold exactly.
const largestExact = 1<<53 - 1

// appendRequest appends the request of the report.
func appendRequest(dst []byte, r *penstock.Report) []byte {
	dst = appendString(append(dst, `{"c":`...), r.Controller)
	dst = appendString(append(dst, `,"f":`...), r.Source)
	switch r.Identity.Form {
	case penstock.Sequence:
		dst = strconv.AppendUint(append(dst, `,"e":`...), r.Identity.Epoch, 10)
		dst = strconv.AppendUint(append(dst, `,"q":`...), r.Identity.Seq, 10)
	case penstock.Keyed:
		dst = appendString(append(dst, `,"k":`...), r.Identity.Key)
	case penstock.Natural:
	}
	dst = appendNumberText(append(dst, `,"r":`...), r.ReceivedTime)
	all := r.Samples
	dst = appendList(append(dst, `,"p":`...), all, func(dst []byte, s *penstock.Sample) []byte { return appendString(dst, s.Point) })
	dst = appendList(append(dst, `,"v":`...), all, appendValue)
	dst = appendColumn(append(dst, `,"u":`...), all, sameUnit, func(dst []byte, s *penstock.Sample) []byte { return appendString(dst, s.Unit) })
	dst = appendColumn(append(dst, `,"t":`...), all, sameTime, appendTime)
	dst = appendColumn(append(dst, `,"y":`...), all, sameKind, appendKind)
	dst = appendExtras(dst, all)
	return append(dst, '}')
}

// appendList appends what part makes of each sample.
func appendList(dst []byte, all []penstock.Sample, part func([]byte, *penstock.Sample) []byte) []byte {
	dst = append(dst, '[')
	for i := range all {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = part(dst, &all[i])
	}
	return append(dst, ']')
}

// appendColumn is appendList for what is mostly the same in all samples: then it
// appends it once.
func appendColumn(dst []byte, all []penstock.Sample, same func(a, b *penstock.Sample) bool, part func([]byte, *penstock.Sample) []byte) []byte {
	if len(all) > 0 && !some(all, func(s *penstock.Sample) bool { return !same(s, &all[0]) }) &&
		!isUntimed(&all[0]) { // null alone would say nothing of which samples
		return part(dst, &all[0])
	}
	return appendList(dst, all, part)
}

func some(all []penstock.Sample, is func(*penstock.Sample) bool) bool {
	for i := range all {
		if is(&all[i]) {
			return true
		}
	}
	return false
}

func sameTime(a, b *penstock.Sample) bool {
	return a.SourceTime == b.SourceTime && isUntimed(a) == isUntimed(b)
}

func sameUnit(a, b *penstock.Sample) bool { return a.Unit == b.Unit }

func sameKind(a, b *penstock.Sample) bool { return a.Value.Kind() == b.Value.Kind() }

// isUntimed tells whether the sample still waits for the gateway's time.
func isUntimed(s *penstock.Sample) bool {
	return s.SourceTime == 0 && s.Flags&penstock.GatewayClock != 0
}

func appendTime(dst []byte, s *penstock.Sample) []byte {
	if isUntimed(s) {
		return append(dst, "null"...)
	}
	return appendNumberText(dst, s.SourceTime)
}

func appendKind(dst []byte, s *penstock.Sample) []byte {
	return strconv.AppendUint(dst, uint64(s.Value.Kind()), 10)
}

func appendNumberText(dst []byte, n int64) []byte {
	return append(strconv.AppendInt(append(dst, '"'), n, 10), '"')
}

// appendValue appends the value, or null when it is none or stands among the
// extras.
func appendValue(dst []byte, s *penstock.Sample) []byte {
	v := s.Value
	if v.Kind() == penstock.None || isHuge(v) || isSpecial(v) {
		return append(dst, "null"...)
	}
	switch v.Kind() {
	case penstock.Int64:
		return strconv.AppendInt(dst, v.Int(), 10)
	case penstock.Uint64:
		return strconv.AppendUint(dst, v.Uint(), 10)
	case penstock.Bool:
		return strconv.AppendBool(dst, v.Bool())
	case penstock.Text:
		return appendString(dst, v.Text())
	default:
		return strconv.AppendFloat(dst, v.Float(), 'g', -1, 64)
	}
}

// isHuge tells whether only a BigInt holds the value.
func isHuge(v penstock.Value) bool {
	switch v.Kind() {
	case penstock.Int64:
		return v.Int() > largestExact || v.Int() < -largestExact
	case penstock.Uint64:
		return v.Uint() > largestExact
	default:
		return false
	}
}

// isSpecial tells whether the value is a float that JSON does not have.
func isSpecial(v penstock.Value) bool {
	f := v.Float()
	return v.Kind() == penstock.Float64 && (math.IsNaN(f) || math.IsInf(f, 0))
}

func specialText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case f > 0:
		return "Infinity"
	}
	return "-Infinity"
}

// appendExtras appends what few samples have, if any has.
func appendExtras(dst []byte, all []penstock.Sample) []byte {
	start := len(dst)
	dst = append(dst, `,"x":[`...)
	empty := len(dst)
	for i := range all {
		s := &all[i]
		if s.Status == penstock.Good && s.Native == 0 && s.Flags&(penstock.Historical|penstock.GatewayClock) == 0 &&
			!isHuge(s.Value) && !isSpecial(s.Value) {
			continue
		}
		if len(dst) > empty {
			dst = append(dst, ',')
		}
		dst = appendExtra(dst, i, s)
	}
	if len(dst) == empty {
		return dst[:start]
	}
	return append(dst, ']')
}

func appendExtra(dst []byte, i int, s *penstock.Sample) []byte {
	dst = strconv.AppendInt(append(dst, `{"i":`...), int64(i), 10)
	if isHuge(s.Value) {
		dst = appendString(append(dst, `,"b":`...), s.Value.String())
	}
	if isSpecial(s.Value) {
		dst = appendString(append(dst, `,"f":`...), specialText(s.Value.Float()))
	}
	if s.Status != penstock.Good {
		dst = appendString(append(dst, `,"s":`...), s.Status.String())
	}
	if s.Native != 0 {
		dst = strconv.AppendUint(append(dst, `,"n":`...), uint64(s.Native), 10)
	}
	if s.Flags&penstock.Historical != 0 {
		dst = append(dst, `,"h":1`...)
	}
	if s.Flags&penstock.GatewayClock != 0 {
		dst = append(dst, `,"g":1`...)
	}
	return append(dst, '}')
}

// appendString appends s as JSON. Names and texts are valid UTF-8 by then.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= utf8.RuneSelf || s[i] == '"' || s[i] == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil {
				return append(dst, `""`...) // a string can always be written
			}
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}
