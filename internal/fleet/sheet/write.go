package sheet

import (
	"bytes"
	"encoding/csv"
	"iter"
	"strconv"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet"
)

// flushAt is how many bytes a part of a sheet has before it is yielded.
const flushAt = 64 << 10

// Export yields the sheet of the controllers for which shown is true, in the order
// of their names, in parts that are valid until the next. A type is left out while
// a first value, or a first fraction, may still decide it.
func Export(f *fleet.Fleet, shown func(controller string) bool) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var part bytes.Buffer
		w := csv.NewWriter(&part)
		row := func(cells ...string) bool {
			_ = w.Write(cells) // into memory: it cannot fail
			w.Flush()
			if part.Len() < flushAt {
				return true
			}
			defer part.Reset()
			return yield(part.Bytes())
		}
		if !row(columns()...) {
			return
		}
		for _, c := range f.Controllers() {
			if !shown(c.Name) {
				continue
			}
			points := f.Points(c.Name)
			if len(points) == 0 && !row(guard(c.Name), string(c.State), "", "", "", "", "", "", guard(c.Site), guard(c.Line)) {
				return
			}
			for i := range points {
				if !row(cells(&c, &points[i])...) {
					return
				}
			}
		}
		if part.Len() > 0 {
			yield(part.Bytes())
		}
	}
}

func cells(c *fleet.Controller, p *fleet.Point) []string {
	kind, low, high := "", "", ""
	if p.Kind != penstock.None && !p.Provisional {
		kind = p.Kind.String()
	}
	if p.Min != nil {
		low = number(*p.Min)
	}
	if p.Max != nil {
		high = number(*p.Max)
	}
	return []string{guard(c.Name), string(c.State), guard(p.Name), kind, guard(p.Unit), low, high, string(p.Signal), guard(c.Site), guard(c.Line)}
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
