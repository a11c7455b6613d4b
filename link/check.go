package link

import (
	"unicode/utf8"

	"github.com/penstock/penstock"
)

// knownFlags has the bit of each flag of a sample.
const knownFlags = penstock.GatewayClock | penstock.SkewedClock | penstock.Historical

// Check returns an error of code [penstock.Invalid] or [penstock.TooLarge] when
// no decoder would take the report's encoding. It looks at all limits of the
// domain, and names the sample and the field.
func Check(r *penstock.Report) error {
	if err := penstock.CheckControllerName(r.Controller); err != nil {
		return err
	}
	if err := r.Identity.Check(); err != nil {
		return err
	}
	if err := checkCount(r.Identity, len(r.Samples)); err != nil {
		return err
	}
	bound := sizeHint(r)
	for i := range r.Samples {
		s := &r.Samples[i]
		if err := checkSample(s); err != nil {
			return penstock.Errorf(penstock.CodeOf(err), "samples/%d, point %q: %w", i, s.Point, err)
		}
		bound += maxSampleSize + len(s.Point) + len(s.Unit) + len(s.Value.Text())
	}
	if bound > penstock.MaxReport { // perhaps too large: only the encoding tells
		if n := len(AppendReport(nil, r)); n > penstock.MaxReport {
			return penstock.Errorf(penstock.TooLarge, "the report has %d bytes, at most %d are allowed: send fewer samples in it", n, penstock.MaxReport)
		}
	}
	return nil
}

// maxSampleSize bounds the bytes of a sample without its strings: tag, two
// lengths or an index, time, status, native bits and flags, value.
const maxSampleSize = 1 + 3 + 10 + 4 + 6 + 10

func checkCount(id penstock.Identity, samples int) error {
	if samples > penstock.MaxSamples {
		return penstock.Errorf(penstock.TooLarge, "a report has at most %d samples, this one has %d", penstock.MaxSamples, samples)
	}
	if samples == 0 && id.Form == penstock.Natural {
		return penstock.Errorf(penstock.Invalid, "a report without samples needs a sequence or a key: nothing else tells it apart")
	}
	return nil
}

func checkNone(s penstock.Status) error {
	if !s.IsBad() {
		return penstock.Errorf(penstock.Invalid, "a sample without a value needs a bad status, not %v", s)
	}
	return nil
}

func checkSample(s *penstock.Sample) error {
	if err := penstock.CheckPointName(s.Point); err != nil {
		return err
	}
	if err := penstock.CheckUnit(s.Unit); err != nil {
		return err
	}
	if s.Flags&^knownFlags != 0 {
		return penstock.Errorf(penstock.Invalid, "flags 0x%02x have a bit that is not defined", uint8(s.Flags))
	}
	switch kind := s.Value.Kind(); {
	case kind == penstock.None:
		return checkNone(s.Status)
	case kind == penstock.Bool && s.Value.Bits() > 1:
		return penstock.Errorf(penstock.Invalid, "the bits of a bool are 0 or 1, not %d", s.Value.Bits())
	case kind == penstock.Text && len(s.Value.Text()) > penstock.MaxText:
		return penstock.Errorf(penstock.Invalid, "a text has at most %d bytes, this one has %d", penstock.MaxText, len(s.Value.Text()))
	case kind == penstock.Text && !utf8.ValidString(s.Value.Text()):
		return penstock.Errorf(penstock.Invalid, "the text is not valid UTF-8")
	case kind > penstock.Text:
		return penstock.Errorf(penstock.Invalid, "%v is no kind of value", kind)
	}
	return nil
}
