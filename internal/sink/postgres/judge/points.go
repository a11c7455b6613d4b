package judge

import (
	"strings"
	"unicode/utf8"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/postgres/copyrow"
)

// describe finds the points of the report and makes those that are new. It returns
// why the report can never be stored, and then has made none.
func (c *Case) describe(h *Held, r *penstock.Report) string {
	var units map[string]string // that the report names first
	c.found = c.found[:0]
	for i := range r.Samples {
		s := &r.Samples[i]
		if reason := wrong(s); reason != "" {
			return reason
		}
		known := h.Points[s.Point]
		c.found = append(c.found, known)
		if known == nil {
			if err := penstock.CheckPointName(s.Point); err != nil {
				return err.Error()
			}
		}
		if s.Unit != "" {
			unit := units[s.Point]
			if unit == "" && known != nil {
				unit = known.Unit
			}
			if unit != "" && unit != s.Unit {
				return "the unit of point " + s.Point + " is " + unit + ", not " + s.Unit
			}
			if known == nil || known.Unit == "" {
				if units == nil {
					units = map[string]string{}
				}
				units[s.Point] = s.Unit
			}
		}
		micros, _ := copyrow.Micros(s.SourceTime)
		if err := c.Room(micros); err != nil {
			return err.Error()
		}
	}
	for i := range r.Samples {
		c.note(h, i, &r.Samples[i])
	}
	return ""
}

// note makes the sample's point, or changes it, where that is needed.
func (c *Case) note(h *Held, i int, s *penstock.Sample) {
	p := c.found[i]
	if p == nil {
		p = h.Points[s.Point] // a sample before this one may have made it
	}
	kind := s.Value.Kind()
	fresh := p == nil
	if fresh {
		p = &Point{Kind: kind, Unit: s.Unit}
		h.Points[s.Point] = p
	}
	c.found[i] = p
	changed := fresh
	if kind != penstock.None && kind != p.Kind {
		p.Kind, changed = kind, true
	}
	if s.Unit != "" && p.Unit == "" {
		p.Unit, changed = s.Unit, true
	}
	if changed && (fresh || p.ID != 0) {
		c.Points = append(c.Points, NewPoint{Owner: h, Name: s.Point, Point: p})
	}
}

// wrong says why a sample can never be stored.
func wrong(s *penstock.Sample) string {
	v := &s.Value
	switch kind := v.Kind(); {
	case kind > penstock.Text, kind == penstock.None && v.Bits() != 0, kind == penstock.Bool && v.Bits() > 1:
		return "the value of point " + s.Point + " is not one"
	case kind == penstock.Text && (len(v.Text()) > penstock.MaxText || !utf8.ValidString(v.Text())):
		return "the text of point " + s.Point + " is too long or not UTF-8"
	case kind == penstock.Text && strings.Contains(v.Text(), "\x00"):
		return "the text of point " + s.Point + " has the character U+0000, which PostgreSQL cannot keep"
	}
	if err := penstock.CheckUnit(s.Unit); err != nil {
		return err.Error()
	}
	return ""
}
