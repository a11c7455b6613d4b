package reportjson

import (
	"bytes"
	"iter"
	"math"
	"slices"

	"github.com/penstock/penstock"
)

// Decoder reads reports from JSON. It remembers names, so that a name is checked
// and allocated once and not a sample. The zero Decoder is ready. It is not safe
// for concurrent use.
//
// Values: a number without fraction and exponent is an int64, or a uint64 above
// 2⁶³ − 1; with either it is a float64, rounded to nearest; "-0" is −0.0. A
// string is a text, null is no value and needs a bad status. Times: RFC 3339
// with any offset and up to nine decimals, or nanoseconds since 1970 as a number
// or a string of digits; without a time the sample has the flag
// [penstock.GatewayClock] and the time 0 until the gateway stamps it. A status
// is the name or the number of an OPC UA StatusCode.
//
// A report may have neither samples nor an identity of its own, since a key can
// come beside the body: the caller has to look.
//
// Errors have code [penstock.Invalid] or [penstock.TooLarge] and name the offset
// and the path of what is wrong. The memory that a body takes is at most
// twenty times its length.
type Decoder struct {
	scanner scanner
	names   names
}

// Decode reads a body that is a report or an array of reports, and appends the
// reports to dst. It takes the whole body or nothing: after an error it returns
// dst as it was. Where dst has room, the samples of a report go into the array of
// the one that stood there before. Nothing of body is kept.
func (d *Decoder) Decode(body []byte, dst []penstock.Report) ([]penstock.Report, error) {
	d.begin(body)
	s := &d.scanner
	taken := len(dst)
	switch s.peek() {
	case '{':
		dst = extend(dst)
		d.report(&dst[taken])
	case '[':
		s.at++
		for n := 0; s.more(']', n); n++ {
			s.report = n
			dst = extend(dst)
			d.report(&dst[len(dst)-1])
		}
		s.report = -1
	default:
		s.due("a report or an array of reports")
	}
	s.end()
	if s.err != nil {
		clear(dst[taken:])
		return dst[:taken], s.err
	}
	return dst, nil
}

// extend appends an empty report that keeps the array of samples that stood there.
func extend(dst []penstock.Report) []penstock.Report {
	if len(dst) == cap(dst) {
		return append(dst, penstock.Report{})
	}
	dst = dst[:len(dst)+1]
	r := &dst[len(dst)-1]
	*r = penstock.Report{Samples: r.Samples[:0]}
	return dst
}

// DecodeLine reads one line of NDJSON, which is one report, into r. It sets
// every field of r, of which nothing is of use after an error. It uses the array
// of r.Samples again where it is large enough, and keeps nothing of line.
func (d *Decoder) DecodeLine(line []byte, r *penstock.Report) error {
	*r = penstock.Report{Samples: r.Samples[:0]}
	d.begin(line)
	if d.scanner.peek() == '{' {
		d.report(r)
	} else {
		d.scanner.due("a report")
	}
	d.scanner.end()
	return d.scanner.err
}

// Lines returns the lines of a body of NDJSON that are not blank, each with its
// number, from 1.
func Lines(body []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		number := 0
		for line := range bytes.Lines(body) {
			number++
			if line = bytes.Trim(line, " \t\r\n"); len(line) > 0 && !yield(number, line) {
				return
			}
		}
	}
}

func (d *Decoder) begin(b []byte) {
	s := &d.scanner
	if cap(s.scratch) > penstock.MaxText {
		s.scratch = nil // one large text is no reason to keep its room
	}
	d.scanner = scanner{b: b, report: -1, sample: -1, guess: s.guess, scratch: s.scratch}
}

// due fails because the input does not begin as it has to.
func (s *scanner) due(what string) {
	if bytes.HasPrefix(s.b, []byte("\xef\xbb\xbf")) {
		s.fail("JSON has no byte order mark: take the first three bytes away")
		return
	}
	s.fail("%s is due, not %s", what, s.found())
}

// report reads a report; the scanner stands at its brace or at something wrong.
func (d *Decoder) report(r *penstock.Report) {
	s := &d.scanner
	if !s.open('{', "a report") {
		return
	}
	start := s.from
	var seen fields
	for n := 0; s.more('}', n); n++ {
		switch s.key(reportFields, &seen) {
		case fieldController:
			r.Controller = d.controller()
		case fieldEpoch:
			r.Identity.Epoch = s.unsigned(penstock.MaxSequence)
		case fieldSeq:
			r.Identity.Seq = s.unsigned(penstock.MaxSequence)
		case fieldKey:
			r.Identity.Key = string(s.text("a key in quotes"))
		case fieldSamples:
			r.Samples = d.samples(r.Samples)
		}
		s.field = 0
	}
	s.from = start
	s.finishReport(r, seen)
}

// finishReport judges a report as a whole.
func (s *scanner) finishReport(r *penstock.Report, seen fields) {
	switch {
	case s.err != nil:
		return
	case !seen.has(fieldController):
		s.fail(`the key "controller" is missing`)
	case !seen.has(fieldSamples):
		s.fail(`the key "samples" is missing`)
	case seen.has(fieldEpoch) != seen.has(fieldSeq):
		s.fail(`"epoch" and "seq" come together or not at all`)
	case seen.has(fieldKey) && seen.has(fieldSeq):
		s.fail(`a report has "epoch" and "seq", or a "key", not both`)
	case seen.has(fieldKey):
		r.Identity.Form = penstock.Keyed
	case seen.has(fieldSeq):
		r.Identity.Form = penstock.Sequence
	}
	s.check(r.Identity.Check())
}

// shortestSample is of how many bytes a sample has at least.
const shortestSample = len(`{"point":"","value":0},`)

// samples reads the array of samples into dst, which is empty.
func (d *Decoder) samples(dst []penstock.Sample) []penstock.Sample {
	s := &d.scanner
	if !s.open('[', "an array of samples") {
		return dst
	}
	for n := 0; s.more(']', n); n++ {
		if n == penstock.MaxSamples {
			s.failWith(penstock.TooLarge, "a report has at most 65,535 samples: send more reports")
		}
		s.sample = n
		if n == cap(dst) {
			dst = slices.Grow(dst, max(1, min(n, (len(s.b)-s.at)/shortestSample)))
		}
		dst = append(dst, penstock.Sample{})
		d.sample(&dst[n])
		s.field = 0
	}
	s.sample = -1
	s.field = fieldSamples
	return dst
}

// sample reads a sample.
func (d *Decoder) sample(to *penstock.Sample) {
	s := &d.scanner
	s.field = 0
	if !s.open('{', "a sample") {
		return
	}
	start := s.from
	var seen fields
	for n := 0; s.more('}', n); n++ {
		switch s.key(sampleFields, &seen) {
		case fieldPoint:
			to.Point = d.point()
		case fieldTime:
			to.SourceTime = s.time()
		case fieldValue:
			to.Value = s.value()
		case fieldStatus:
			to.Status = d.status()
		case fieldUnit:
			to.Unit = d.unit()
		case fieldNative:
			to.Native = uint32(s.unsigned(math.MaxUint32))
		case fieldHistorical:
			if s.bool() {
				to.Flags |= penstock.Historical
			}
		}
		s.field = 0
	}
	s.from = start
	s.finishSample(to, seen)
}

// finishSample judges a sample as a whole.
func (s *scanner) finishSample(to *penstock.Sample, seen fields) {
	if !seen.has(fieldTime) {
		to.Flags |= penstock.GatewayClock
	}
	switch {
	case !seen.has(fieldPoint):
		s.fail(`the key "point" is missing`)
	case !seen.has(fieldValue):
		s.fail(`the key "value" is missing: null with a bad status stands for no value`)
	case to.Value.Kind() == penstock.None && !to.Status.IsBad():
		s.field = fieldValue
		s.fail("no value (null) needs a bad status, not %v", to.Status)
	}
}
