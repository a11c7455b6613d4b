package link

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/penstock/penstock"
)

// maxNames bounds the names that a decoder remembers between reports.
const maxNames = 1 << 14

// Decoder decodes reports and remembers the names in them, so that a name is
// checked and allocated once and not a report; it forgets them when they are many.
// The zero Decoder is ready. It is not safe for concurrent use.
type Decoder struct {
	controllers map[string]string
	points      map[string]*point // by the encoding of name and unit
	first       *point            // the first row of the last report's table
	rows        []*point          // the table of the report being decoded
	report      uint64            // counts reports: tells which points the table has already
}

// point is a name with a unit.
type point struct {
	name, unit string
	encoding   string // of name and unit; they are parts of it
	report     uint64 // the last report that has it in its table
	next       *point // what stood after it in that table: most likely does so again
}

// Decode reads one report from the start of b into r and returns what follows
// it. It sets every field of r: those that are not encoded become zero. It uses
// the array of r.Samples again where it is large enough, and keeps nothing of b.
//
// Input that breaks a rule, or is not the one encoding of its report, is an error
// of code [penstock.Invalid] or [penstock.TooLarge] that names the offset from
// the start of b and the field; a version or feature that is not known has code
// [penstock.Unsupported]. After an error r holds nothing of use; rest is nil
// when the end of the report could not be found, and else what follows it. A
// report of n bytes allocates at most 100 n bytes.
func (d *Decoder) Decode(b []byte, r *penstock.Report) (rest []byte, err error) {
	c := cursor{b: b, sample: -1}
	rest = c.frame()
	if c.err != nil {
		return nil, c.err
	}
	samples := r.Samples[:0]
	*r = penstock.Report{}
	r.Identity = c.identity()
	r.Controller = d.controller(&c)
	samples = d.samples(&c, samples, c.count(r.Identity))
	if c.err == nil && c.at != len(c.b) {
		c.sample, c.from = -1, c.at
		c.fail("length", "%d bytes are left over after the last sample", len(c.b)-c.at)
	}
	r.Samples = samples
	return rest, c.err
}

// frame reads what stands before the body, ends c where the report ends, and
// returns what follows.
func (c *cursor) frame() (rest []byte) {
	if v := c.byte("version"); c.err == nil && v != Version {
		c.failWith(penstock.Unsupported, "version", "this program reads version 1 of the report format only: update it")
	}
	if f := c.uvarint("features"); f&^knownFeatures != 0 {
		c.failWith(penstock.Unsupported, "features", "the report needs a feature that this program does not know: update it")
	}
	n := c.uvarint("length")
	if n > uint64(penstock.MaxReport-min(c.at, penstock.MaxReport)) {
		c.failWith(penstock.TooLarge, "length", "a report has at most 1 MiB")
	}
	if c.err == nil && n > uint64(len(c.b)-c.at) {
		c.fail("length", "%d bytes are due, but the input ends after %d", n, len(c.b)-c.at)
	}
	if c.err != nil {
		return nil
	}
	end := c.at + int(n)
	rest = c.b[end:]
	c.b = c.b[:end]
	return rest
}

func (c *cursor) identity() penstock.Identity {
	id := penstock.Identity{Form: penstock.IdentityForm(c.byte("identity"))}
	switch id.Form {
	case penstock.Sequence:
		id.Epoch = c.uvarint("epoch")
		id.Seq = c.uvarint("seq")
	case penstock.Keyed:
		id.Key = string(c.text("key", penstock.MaxKey))
	case penstock.Natural:
	}
	if c.err == nil {
		c.check("identity", id.Check())
	}
	return id
}

// count reads the number of samples.
func (c *cursor) count(id penstock.Identity) int {
	n := c.uvarint("samples")
	switch {
	case n > penstock.MaxSamples:
		c.failWith(penstock.TooLarge, "samples", "a report has at most 65,535 samples")
	case n > uint64(len(c.b)-c.at):
		c.fail("samples", "%d samples are due in %d bytes", n, len(c.b)-c.at)
	case c.err == nil && n == 0:
		c.check("samples", checkCount(id, 0))
	}
	if c.err != nil {
		return 0
	}
	return int(n)
}

func (d *Decoder) controller(c *cursor) string {
	raw := c.text("controller", penstock.MaxName)
	if name, ok := d.controllers[string(raw)]; ok || c.err != nil {
		return name
	}
	name := string(raw)
	c.check("controller", penstock.CheckControllerName(name))
	if d.controllers == nil || len(d.controllers) >= maxNames {
		d.controllers = make(map[string]string)
	}
	if c.err == nil {
		d.controllers[name] = name
	}
	return name
}

func (d *Decoder) samples(c *cursor, samples []penstock.Sample, count int) []penstock.Sample {
	d.report++
	d.rows = d.rows[:0]
	if d.points == nil || len(d.points) >= maxNames {
		d.points = make(map[string]*point)
		d.first, d.rows = nil, nil // those that are forgotten know each other
	}
	if cap(samples) < count {
		samples = make([]penstock.Sample, count)
	}
	samples = samples[:count]
	var last penstock.Sample // the sample before the first
	row := 0
	for i := range samples {
		c.sample = i
		tag := c.byte("tag")
		if tag&kindMask > byte(penstock.Text) || tag&pointMask == pointMask {
			c.fail("tag", "0x%02x is no tag", tag)
		}
		row = d.row(c, row, tag)
		if tag&(timeChanged|statusChanged|qualityChanged) != 0 {
			c.changes(&last, tag)
		}
		if c.err != nil {
			return samples[:0]
		}
		s := &samples[i]
		s.Point, s.Unit = d.rows[row].name, d.rows[row].unit
		s.SourceTime, s.Status, s.Native, s.Flags = last.SourceTime, last.Status, last.Native, last.Flags
		s.Value = c.value(tag)
		if tag&kindMask == byte(penstock.None) && c.err == nil {
			c.check("status", checkNone(s.Status))
		}
	}
	if c.err != nil {
		return samples[:0]
	}
	return samples
}

// row returns the row of the sample's point; last is that of the sample before.
func (d *Decoder) row(c *cursor, last int, tag byte) int {
	next := last + 1
	if next >= len(d.rows) {
		next = 0
	}
	switch tag & pointMask {
	case pointNext:
		if len(d.rows) == 0 {
			c.fail("point", "the first sample has to name its point")
		}
		return next
	case pointKnown:
		row := c.uvarint("point")
		if row >= uint64(len(d.rows)) {
			c.fail("point", "index %d is outside the table of %d points", row, len(d.rows))
			return 0
		}
		if int(row) == next {
			c.fail("point", "the index of the next point is left out")
		}
		return int(row)
	case pointNew:
		d.define(c)
	}
	return len(d.rows) - 1
}

// define reads a name and a unit and appends them to the table.
func (d *Decoder) define(c *cursor) {
	before := &d.first
	if len(d.rows) > 0 {
		before = &d.rows[len(d.rows)-1].next
	}
	p := *before
	if p != nil && len(p.encoding) <= len(c.b)-c.at && string(c.b[c.at:c.at+len(p.encoding)]) == p.encoding {
		c.at += len(p.encoding)
	} else {
		p = d.point(c)
	}
	if c.err != nil {
		return
	}
	if p.report == d.report {
		c.fail("point", "the table has %q with this unit already", p.name)
		return
	}
	*before = p
	p.report = d.report
	d.rows = append(d.rows, p)
}

// point reads a name and a unit and returns the point that the decoder keeps.
func (d *Decoder) point(c *cursor) *point {
	start := c.at
	name := len(c.text("point", penstock.MaxName))
	end := c.at
	unit := len(c.text("unit", penstock.MaxUnit))
	if c.err != nil {
		return nil
	}
	if p, ok := d.points[string(c.b[start:c.at])]; ok {
		return p
	}
	encoding := string(c.b[start:c.at])
	p := &point{
		name:     encoding[end-start-name : end-start],
		unit:     encoding[len(encoding)-unit:],
		encoding: encoding,
	}
	c.check("point", penstock.CheckPointName(p.name))
	c.check("unit", penstock.CheckUnit(p.unit))
	if c.err == nil {
		d.points[encoding] = p
	}
	return p
}

// changes reads what differs from the sample before, and notes it in last.
func (c *cursor) changes(last *penstock.Sample, tag byte) {
	if tag&timeChanged != 0 {
		delta := unzigzag(c.uvarint("time"))
		if delta == 0 {
			c.fail("time", "a time that did not change is left out")
		}
		last.SourceTime += delta
	}
	if tag&statusChanged != 0 {
		b := c.take("status", 4)
		if b == nil {
			return
		}
		status := penstock.Status(binary.LittleEndian.Uint32(b))
		if status == last.Status {
			c.fail("status", "a status that did not change is left out")
		}
		last.Status = status
	}
	if tag&qualityChanged != 0 {
		c.quality(last)
	}
}

// quality reads the native bits and the flags.
func (c *cursor) quality(last *penstock.Sample) {
	native := c.uvarint("native")
	flags := penstock.SampleFlags(c.byte("flags"))
	switch {
	case native > 1<<32-1:
		c.fail("native", "%d has more than 32 bits", native)
	case flags&^knownFlags != 0:
		c.fail("flags", "0x%02x has a bit that is not defined", uint8(flags))
	case uint32(native) == last.Native && flags == last.Flags:
		c.fail("native", "native bits and flags that did not change are left out")
	}
	last.Native, last.Flags = uint32(native), flags
}

func (c *cursor) value(tag byte) penstock.Value {
	kind := penstock.Kind(tag & kindMask)
	switch kind {
	case penstock.Float64:
		if b := c.take("value", 8); b != nil {
			return penstock.BitsValue(kind, binary.LittleEndian.Uint64(b))
		}
	case penstock.Int64:
		return penstock.IntValue(unzigzag(c.uvarint("value")))
	case penstock.Uint64:
		return penstock.UintValue(c.uvarint("value"))
	case penstock.Bool:
		b := c.byte("value")
		if b > 1 {
			c.fail("value", "a bool is 0 or 1, not %d", b)
		}
		return penstock.BoolValue(b == 1)
	case penstock.Text:
		b := c.text("value", penstock.MaxText)
		if !utf8.Valid(b) {
			c.fail("value", "the text is not valid UTF-8")
		}
		return penstock.TextValue(string(b))
	case penstock.None:
	}
	return penstock.Value{}
}
