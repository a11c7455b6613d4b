package mapping

import (
	"encoding/base64"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/mapping/tree"
	"github.com/penstock/penstock/link"
)

// Decoded is one report of a payload.
type Decoded struct {
	Report  *penstock.Report
	Signals []Signal // what it tells of the link
	Err     error    // this report of several cannot be read; Report is nil then
}

// Signal is a reading of the link over which a report came.
type Signal struct {
	Quantity evidence.Quantity
	Value    float64
}

// Decode calls emit with each report of the envelope's body, in order, until it
// returns an error. What makes the whole body unreadable is an error, of code
// [penstock.Invalid] or [penstock.TooLarge]; where the body has a list of
// reports, one of them that cannot be read leaves the others.
func (m *Mapping) Decode(e *penstock.Envelope, emit func(Decoded) error) error {
	err := m.decode(e, emit)
	if err != nil && m.name != "" {
		return penstock.Errorf(penstock.CodeOf(err), "mapping %s: %w", m.name, err)
	}
	return err
}

func (m *Mapping) decode(e *penstock.Envelope, emit func(Decoded) error) error {
	s := &scope{envelope: e, length: len(e.Body)}
	if m.lines != nil {
		return m.decodeLines(s, emit)
	}
	var err error
	if m.bytes && m.in == nil {
		s.fields = map[string]any{}
	} else if s.tree, err = tree.ParseJSON(e.Body); err != nil {
		return err
	}
	if m.each == nil {
		d, err := m.one(s, e.Body)
		if err != nil {
			return err
		}
		return emit(d)
	}
	chosen := &branch{}
	if m.each.From == tree.InFields { // the elements are of the bytes: those come first
		if chosen, err = m.readBytes(s, e.Body); err != nil {
			return err
		}
	}
	found, ok := s.find(m.each)
	if !ok {
		return penstock.Errorf(penstock.Invalid, "each: %w", s.missing(m.each))
	}
	list, ok := tree.Elements(found)
	if !ok {
		return penstock.Errorf(penstock.Invalid, "each: {%s} is %s, not a list", m.each.Text, tree.Describe(found))
	}
	for i, element := range list {
		s.elements = []any{element}
		var d Decoded
		if m.each.From == tree.InFields {
			d, err = m.report(s, chosen)
		} else {
			d, err = m.one(s, e.Body)
		}
		if err != nil {
			d = Decoded{Err: penstock.Errorf(penstock.CodeOf(err), "element %d of %s: %w", i, m.each.Text, err)}
		}
		if err := emit(d); err != nil {
			return err
		}
	}
	return nil
}

// decodeLines makes a report of each line.
func (m *Mapping) decodeLines(s *scope, emit func(Decoded) error) error {
	lines, err := m.lines.lines(s.envelope.Body)
	if err != nil {
		return err
	}
	for i, line := range lines {
		s.fields = map[string]any{}
		err := m.lines.read(line, s.fields)
		var d Decoded
		if err == nil {
			d, err = m.one(s, nil)
		}
		if err != nil && len(lines) == 1 {
			return err
		}
		if err != nil {
			d = Decoded{Err: penstock.Errorf(penstock.CodeOf(err), "line %d: %w", i+1, err)}
		}
		if err := emit(d); err != nil {
			return err
		}
	}
	return nil
}

// one reads the bytes of a report where it has some, and then the report.
func (m *Mapping) one(s *scope, body []byte) (Decoded, error) {
	chosen, err := m.readBytes(s, body)
	if err != nil {
		return Decoded{}, err
	}
	return m.report(s, chosen)
}

// readBytes puts the fields of bytes into the scope and finds out which case it
// is.
func (m *Mapping) readBytes(s *scope, payload []byte) (*branch, error) {
	if !m.bytes {
		return m.choose(s)
	}
	if m.in != nil {
		var err error
		if payload, err = m.unpack(s); err != nil {
			return nil, err
		}
	}
	s.fields, s.length = map[string]any{}, len(payload)
	if m.size > 0 && len(payload) != m.size {
		return nil, penstock.Errorf(penstock.Invalid, "the payload has a length of %d, and must have %d", len(payload), m.size)
	}
	end, err := m.main.read(payload, s.fields, 0)
	if err != nil {
		return nil, err
	}
	chosen, err := m.choose(s)
	if err != nil {
		return nil, err
	}
	if end, err = chosen.layout.read(payload, s.fields, end); err != nil {
		return nil, err
	}
	if err = m.main.readGroups(payload, s, end); err != nil {
		return nil, err
	}
	return chosen, chosen.layout.readGroups(payload, s, end)
}

// unpack returns the bytes that stand in JSON.
func (m *Mapping) unpack(s *scope) ([]byte, error) {
	text, err := s.text(m.in)
	if err != nil {
		return nil, err
	}
	var payload []byte
	if m.encoding == "hex" {
		payload, err = hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	} else {
		plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
		payload, err = base64.RawStdEncoding.DecodeString(plain)
	}
	if err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "{%s} is not %s: %w", m.in.Single().Text, m.encoding, err)
	}
	return payload, nil
}

// choose returns the case that the payload is.
func (m *Mapping) choose(s *scope) (*branch, error) {
	if m.cases == nil {
		return &branch{}, nil
	}
	value, err := s.text(&m.by)
	if err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "cases: by: %w", err)
	}
	chosen, ok := m.cases[value]
	if !ok {
		return nil, penstock.Errorf(penstock.Invalid, "cases: there is none for %q: there are %s",
			tree.Shorten(value), strings.Join(slices.Sorted(maps.Keys(m.cases)), ", "))
	}
	return &chosen, nil
}

// report makes the report of what the scope reaches.
func (m *Mapping) report(s *scope, chosen *branch) (d Decoded, err error) {
	r := &penstock.Report{}
	if r.Controller, err = s.text(&m.controller); err != nil {
		return d, penstock.Errorf(penstock.Invalid, "controller: %w", err)
	}
	if r.Identity, err = m.identity(s); err != nil {
		return d, err
	}
	usual, err := m.usual(s)
	if err != nil {
		return d, err
	}
	for _, points := range [][]point{m.points, chosen.points} {
		for i := range points {
			if r.Samples, err = points[i].samples(s, usual, r.Samples); err != nil {
				return d, err
			}
		}
	}
	if err := link.Check(r); err != nil {
		return d, err
	}
	return Decoded{Report: r, Signals: m.readSignals(s)}, nil
}

// identity returns the report's identity.
func (m *Mapping) identity(s *scope) (penstock.Identity, error) {
	switch {
	case !m.key.Empty():
		key, err := s.text(&m.key)
		if err != nil {
			return penstock.Identity{}, penstock.Errorf(penstock.Invalid, "key: %w", err)
		}
		return penstock.KeyIdentity(key), nil
	case !m.seq.Empty():
		epoch, err := s.whole(&m.epoch)
		if err != nil {
			return penstock.Identity{}, penstock.Errorf(penstock.Invalid, "sequence: epoch: %w", err)
		}
		seq, err := s.whole(&m.seq)
		if err != nil {
			return penstock.Identity{}, penstock.Errorf(penstock.Invalid, "sequence: seq: %w", err)
		}
		if seq <= penstock.MaxSequence {
			seq += 1 - m.first
		}
		return penstock.SequenceIdentity(epoch, seq), nil
	}
	return penstock.Identity{}, nil
}

// usual returns the sample that all others of the report begin as: its time.
func (m *Mapping) usual(s *scope) (penstock.Sample, error) {
	sample := penstock.Sample{Flags: penstock.GatewayClock}
	if err := m.clock.stamp(s, &sample); err != nil {
		return sample, err
	}
	if m.historical.Empty() {
		return sample, nil
	}
	found, _, err := s.value(&m.historical)
	if err != nil {
		return sample, err
	}
	v, _ := found.(penstock.Value)
	if yes, ok := convert(v, penstock.Bool); ok && yes.Bool() {
		sample.Flags |= penstock.Historical
	}
	return sample, nil
}

// stamp gives the sample its time, where there is one.
func (k *clock) stamp(s *scope, sample *penstock.Sample) error {
	if k == nil {
		return nil
	}
	ns, ok, err := k.read(s)
	if err == nil && ok {
		sample.SourceTime = ns
		sample.Flags &^= penstock.GatewayClock
	}
	return err
}

// readSignals returns the largest value of each quantity.
func (m *Mapping) readSignals(s *scope) []Signal {
	var signals []Signal
	for i := range m.signals {
		p := &m.signals[i]
		best, found := 0.0, false
		s.every(p.value.Single(), func(v any) {
			value, _ := v.(penstock.Value)
			number, ok := convert(value, penstock.Float64)
			if ok && (!found || number.Float() > best) {
				best, found = number.Float(), true
			}
		})
		if found {
			signals = append(signals, Signal{p.quantity, best})
		}
	}
	return signals
}
