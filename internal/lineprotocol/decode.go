package lineprotocol

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"

	"github.com/penstock/penstock"
)

// Batch takes the reports of one body. See pipeline.Batch.
type Batch interface {
	Add(r *penstock.Report, encoding []byte) error
	Refuse(cause error) error
}

// Limits of a line and of a report. A body with more samples for one controller
// becomes several reports.
const (
	maxTags       = 64
	reportSamples = 4096
)

// Decoder reads bodies. It is safe for concurrent use.
type Decoder struct {
	controller, point template
	precision         lineprotocol.Precision
}

// Precisions are the units of times that a body can have, as clients name them.
// The first is the default.
func Precisions() []string { return []string{"ns", "us", "ms", "s"} }

// New returns a decoder for bodies whose times have that precision.
func New(c Config, precision string) (*Decoder, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	i := slices.Index(Precisions(), precision)
	if i < 0 {
		return nil, penstock.Errorf(penstock.Invalid, "precision: %.20q is none of %s", precision, strings.Join(Precisions(), ", "))
	}
	d := &Decoder{precision: []lineprotocol.Precision{
		lineprotocol.Nanosecond, lineprotocol.Microsecond, lineprotocol.Millisecond, lineprotocol.Second,
	}[i]}
	d.controller, _ = parse(c.Controller) // they were validated
	d.point, _ = parse(c.Point)
	return d, nil
}

// line is what is known of a line while it is read.
type line struct {
	measurement string
	field       string
	tags        []tag
	samples     []penstock.Sample
	fields      []string // of the samples
}

type tag struct{ key, value string }

func (l *line) value(name string) (string, bool) {
	switch name {
	case "measurement":
		return l.measurement, true
	case "field":
		return l.field, l.field != ""
	}
	for _, t := range l.tags {
		if t.key == name {
			return t.value, true
		}
	}
	return "", false
}

// Decode adds the samples of the body to the batch, in one report a controller.
// A line that cannot be used is refused alone; an error is one of the batch.
func (d *Decoder) Decode(body []byte, b Batch) error {
	in := lineprotocol.NewDecoderWithBytes(body)
	reports := map[string]*penstock.Report{}
	var order []string
	for in.Next() {
		name, samples, err := d.line(in)
		if err != nil {
			if err := b.Refuse(err); err != nil {
				return err
			}
			continue
		}
		r := reports[name]
		if r == nil || len(r.Samples)+len(samples) > reportSamples {
			if r != nil {
				if err := b.Add(r, nil); err != nil {
					return err
				}
			} else {
				order = append(order, name)
			}
			r = &penstock.Report{Controller: name}
			reports[name] = r
		}
		r.Samples = append(r.Samples, samples...)
	}
	if err := in.Err(); err != nil {
		return penstock.Errorf(penstock.Invalid, "%w", err)
	}
	for _, name := range order {
		if err := b.Add(reports[name], nil); err != nil {
			return err
		}
	}
	return nil
}

// line reads one line: whose samples they are, and the samples.
func (d *Decoder) line(in *lineprotocol.Decoder) (controller string, samples []penstock.Sample, err error) {
	var l line
	if err := l.read(in, d.precision); err != nil {
		return "", nil, whereOf(err)
	}
	name, err := d.controller.append(nil, l.value)
	if err != nil {
		return "", nil, penstock.Errorf(penstock.Invalid, "controller of measurement %.40q: %w", l.measurement, err)
	}
	for i := range l.samples {
		l.field = l.fields[i]
		point, err := d.point.append(nil, l.value)
		if err != nil {
			return "", nil, penstock.Errorf(penstock.Invalid, "point of %.40q: %w", l.field, err)
		}
		l.samples[i].Point = string(point)
	}
	return string(name), l.samples, nil
}

func (l *line) read(in *lineprotocol.Decoder, precision lineprotocol.Precision) error {
	m, err := in.Measurement()
	if err != nil {
		return err
	}
	l.measurement = string(m)
	for {
		key, value, err := in.NextTag()
		if err != nil {
			return err
		}
		if key == nil {
			break
		}
		if len(l.tags) == maxTags {
			return penstock.Errorf(penstock.TooLarge, "a line has at most %d tags", maxTags)
		}
		l.tags = append(l.tags, tag{string(key), string(value)})
	}
	for {
		key, value, err := in.NextField()
		if err != nil {
			return err
		}
		if key == nil {
			break
		}
		l.fields = append(l.fields, string(key))
		l.samples = append(l.samples, penstock.Sample{Value: valueOf(value)})
	}
	at, err := in.Time(precision, time.Time{})
	if err != nil {
		return err
	}
	if !at.IsZero() {
		for i := range l.samples {
			l.samples[i].SourceTime = at.UnixNano()
		}
	}
	return nil
}

func valueOf(v lineprotocol.Value) penstock.Value {
	switch v.Kind() {
	case lineprotocol.Int:
		return penstock.IntValue(v.IntV())
	case lineprotocol.Uint:
		return penstock.UintValue(v.UintV())
	case lineprotocol.Bool:
		return penstock.BoolValue(v.BoolV())
	case lineprotocol.String:
		return penstock.TextValue(v.StringV())
	}
	return penstock.FloatValue(v.FloatV())
}

// whereOf says on which line of the body an error is.
func whereOf(err error) error {
	var at *lineprotocol.DecodeError
	if errors.As(err, &at) {
		return penstock.Errorf(penstock.Invalid, "line %d, byte %d: %w", at.Line, at.Column, at.Err)
	}
	return err
}
