package script

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// answer is what run of prelude.js answers. An empty text says that nothing
// changed.
type answer struct {
	Dropped bool      `json:"d"`
	Samples []entry   `json:"o"` // those that go on, in order; nil: as they were given, but for
	Changes []change  `json:"c"` // these
	State   *string   `json:"k"` // what is to be kept, nil: as it was
	Lines   []rawLine `json:"l"` // of the console
	Missed  int       `json:"m"` // lines that were too many
}

// entry is a sample of the answer: a place among those given, or a change.
type entry struct {
	place  int
	change *change
}

// change is what differs in a sample that was given, or a new sample.
type change struct {
	Given   *int            `json:"i"` // its place among those given
	Point   *string         `json:"p"`
	Form    string          `json:"k"` // of the value: n, f, i, b, s or z; empty for as it was
	Value   json.RawMessage `json:"v"`
	Unit    *string         `json:"u"`
	Status  *string         `json:"s"`
	Kind    string          `json:"y"`
	Time    *string         `json:"t"` // of a new one
	Native  *uint32         `json:"n"`
	Old     *bool           `json:"h"`
	Gateway bool            `json:"g"` // of a new one
}

func (e *entry) UnmarshalJSON(b []byte) error {
	if b[0] == '{' {
		e.change = new(change)
		return json.Unmarshal(b, e.change)
	}
	return json.Unmarshal(b, &e.place)
}

// rawLine is a level and a text.
type rawLine [2]string

func parseAnswer(text string) (answer, error) {
	var a answer
	if text == "" {
		return a, nil
	}
	err := json.Unmarshal([]byte(text), &a)
	return a, err
}

// apply returns the samples that the answer leaves of the report, in memory of
// their own. The error says which sample breaks which rule.
func (a *answer) apply(r *penstock.Report) ([]penstock.Sample, error) {
	if a.Samples == nil {
		return a.inPlace(r)
	}
	out := make([]penstock.Sample, len(a.Samples))
	for i := range a.Samples {
		e := &a.Samples[i]
		if e.change == nil {
			if e.place < 0 || e.place >= len(r.Samples) {
				return nil, penstock.Errorf(penstock.Invalid, "samples/%d: is none that was given", i)
			}
			out[i] = r.Samples[e.place]
			continue
		}
		if err := e.change.sample(r, &out[i]); err != nil {
			return nil, penstock.Errorf(penstock.CodeOf(err), "samples/%d, point %q: %w", i, clip(out[i].Point), err)
		}
	}
	return out, checked(r, out)
}

// inPlace returns the samples of the report with what changed in some of them.
func (a *answer) inPlace(r *penstock.Report) ([]penstock.Sample, error) {
	out := slices.Clone(r.Samples)
	for i := range a.Changes {
		c := &a.Changes[i]
		if c.Given == nil || *c.Given < 0 || *c.Given >= len(out) {
			return nil, penstock.Errorf(penstock.Invalid, "a change is of no sample that was given")
		}
		if err := c.sample(r, &out[*c.Given]); err != nil {
			return nil, penstock.Errorf(penstock.CodeOf(err), "samples/%d, point %q: %w", *c.Given, clip(out[*c.Given].Point), err)
		}
	}
	return out, checked(r, out)
}

func checked(r *penstock.Report, samples []penstock.Sample) error {
	if len(samples) == 0 {
		return nil // dropped
	}
	changed := *r
	changed.Samples = samples
	return link.Check(&changed)
}

// sample makes the sample.
func (c *change) sample(r *penstock.Report, s *penstock.Sample) (err error) {
	if c.Given != nil {
		if *c.Given < 0 || *c.Given >= len(r.Samples) {
			return penstock.Errorf(penstock.Invalid, "is none that was given")
		}
		*s = r.Samples[*c.Given]
	} else if err := c.setTime(r, s); err != nil {
		return err
	}
	replace(&s.Point, c.Point)
	replace(&s.Unit, c.Unit)
	replace(&s.Native, c.Native)
	if c.Old != nil {
		s.Flags &^= penstock.Historical
		if *c.Old {
			s.Flags |= penstock.Historical
		}
	}
	if c.Status != nil {
		if s.Status, err = penstock.ParseStatus(*c.Status); err != nil {
			return err
		}
	}
	if c.Given == nil || c.Form != "" {
		s.Value, err = c.value(s.Value.Kind())
	}
	return err
}

func replace[T any](to, with *T) {
	if with != nil {
		*to = *with
	}
}

// setTime gives a new sample its time: what the script says, or that of the newest
// sample of the report, or the gateway's when there is none.
func (c *change) setTime(r *penstock.Report, s *penstock.Sample) error {
	switch {
	case c.Time != nil && *c.Time == "":
		s.Flags = penstock.GatewayClock
	case c.Time != nil:
		at, err := strconv.ParseInt(*c.Time, 10, 64)
		if err != nil {
			return penstock.Errorf(penstock.Invalid, "timeNs %.40q is no count of nanoseconds in 64 bits", *c.Time)
		}
		s.SourceTime = at
		if c.Gateway {
			s.Flags = penstock.GatewayClock
		}
	case len(r.Samples) == 0:
		s.SourceTime, s.Flags = r.ReceivedTime, penstock.GatewayClock
	default:
		newest := &r.Samples[0]
		for i := range r.Samples {
			if r.Samples[i].SourceTime > newest.SourceTime {
				newest = &r.Samples[i]
			}
		}
		s.SourceTime, s.Flags = newest.SourceTime, newest.Flags
	}
	return nil
}

// value returns the value: of the kind that the sample says, or was of, where the
// value fits it, or else of the kind that the value has by itself.
func (c *change) value(kind penstock.Kind) (penstock.Value, error) {
	if c.Kind != "" {
		var known bool
		if kind, known = penstock.ParseKind(c.Kind); !known {
			return penstock.Value{}, penstock.Errorf(penstock.Invalid, "type %.40q is none of none, float64, int64, uint64, bool and text", c.Kind)
		}
	}
	switch c.Form {
	case "z":
		return penstock.Value{}, nil
	case "b":
		return penstock.BoolValue(string(c.Value) == "true"), nil
	case "n":
		f, err := strconv.ParseFloat(string(c.Value), 64)
		if err != nil {
			return penstock.Value{}, penstock.Errorf(penstock.Invalid, "the value %.40s is no number", c.Value)
		}
		return numberOf(f, kind), nil
	}
	var text string
	if err := json.Unmarshal(c.Value, &text); err != nil {
		return penstock.Value{}, penstock.Errorf(penstock.Invalid, "the value cannot be read: %w", err)
	}
	switch c.Form {
	case "s":
		if !utf8.ValidString(text) {
			return penstock.Value{}, penstock.Errorf(penstock.Invalid, "the text is not valid UTF-8")
		}
		return penstock.TextValue(text), nil
	case "f":
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return penstock.Value{}, penstock.Errorf(penstock.Invalid, "the value %.40s is no number", text)
		}
		return numberOf(f, kind), nil
	case "i":
		return integerOf(text, kind)
	}
	return penstock.Value{}, penstock.Errorf(penstock.Internal, "a value of form %.10q", c.Form)
}

// numberOf returns a number of the kind when it is a whole one that it holds
// exactly, and a float otherwise.
func numberOf(f float64, kind penstock.Kind) penstock.Value {
	whole := f == math.Trunc(f) && math.Abs(f) <= largestExact && !(f == 0 && math.Signbit(f))
	switch {
	case whole && kind == penstock.Int64:
		return penstock.IntValue(int64(f))
	case whole && kind == penstock.Uint64 && f >= 0:
		return penstock.UintValue(uint64(f))
	}
	return penstock.FloatValue(f)
}

// integerOf returns a BigInt: signed unless the kind says otherwise or it is too
// large for that.
func integerOf(text string, kind penstock.Kind) (penstock.Value, error) {
	signed, err := strconv.ParseInt(text, 10, 64)
	if err == nil && (kind != penstock.Uint64 || signed < 0) {
		return penstock.IntValue(signed), nil
	}
	unsigned, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return penstock.Value{}, penstock.Errorf(penstock.Invalid, "the value %.40s fits neither int64 nor uint64", text)
	}
	return penstock.UintValue(unsigned), nil
}
