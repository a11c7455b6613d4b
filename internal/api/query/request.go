package query

import (
	"math"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/render"
	"github.com/penstock/penstock/internal/api/web"
	"github.com/penstock/penstock/internal/reportjson"
)

// sampleQuery is what a caller asks for.
type sampleQuery struct {
	selector Selector
	from, to int64
	step     int64 // 0 for the samples as they are
	agg      func(*Bucket) penstock.Value
	limit    int
	after    *cursor
	format   render.Format
	time     reportjson.TimeFormat
}

// aggregations is the table of what agg may be.
var aggregations = map[string]func(*Bucket) penstock.Value{
	"avg":   number(func(b *Bucket) float64 { return b.Sum / float64(b.Count) }),
	"min":   number(func(b *Bucket) float64 { return b.Min }),
	"max":   number(func(b *Bucket) float64 { return b.Max }),
	"sum":   number(func(b *Bucket) float64 { return b.Sum }),
	"count": func(b *Bucket) penstock.Value { return penstock.UintValue(b.Count) },
	"first": func(b *Bucket) penstock.Value { return b.First },
	"last":  func(b *Bucket) penstock.Value { return b.Last },
}

// number keeps a step without numbers from becoming a zero.
func number(f func(*Bucket) float64) func(*Bucket) penstock.Value {
	return func(b *Bucket) penstock.Value {
		if b.Count == 0 {
			return penstock.Value{}
		}
		return penstock.FloatValue(f(b))
	}
}

func parseSelector(c *web.Call) (Selector, error) {
	sel := Selector{Controller: c.Value("controller"), Point: c.Value("point"), Scope: c.Who.Scope}
	if sel.Controller != "" && !strings.Contains(sel.Controller, "*") {
		return sel, c.Covers(sel.Controller)
	}
	return sel, nil
}

func parseShape(c *web.Call, q *sampleQuery) (err error) {
	if q.selector, err = parseSelector(c); err != nil {
		return err
	}
	if q.time, err = parseTimeFormat(c.Value("time")); err != nil {
		return err
	}
	q.format, err = negotiate(c.R.Header["Accept"])
	return err
}

func parseSamples(c *web.Call) (q sampleQuery, err error) {
	if err = parseShape(c, &q); err != nil {
		return q, err
	}
	now := c.Now()
	q.from, q.to = math.MinInt64, math.MaxInt64
	for name, into := range map[string]*int64{"from": &q.from, "to": &q.to} {
		if s := c.Value(name); s != "" {
			if *into, err = parseTime(name, s, now); err != nil {
				return q, err
			}
		}
	}
	if q.from > q.to {
		return q, penstock.Errorf(penstock.Invalid, "from=%s is after to=%s", c.Value("from"), c.Value("to"))
	}
	if err = parseStep(c, &q); err != nil {
		return q, err
	}
	if q.limit, err = parseLimit(c.Value("limit")); err != nil {
		return q, err
	}
	if s := c.Value("next"); s != "" {
		if q.after, err = parseCursor(s); err != nil {
			return q, err
		}
		q.from, q.to = q.after.from, q.after.to
	}
	return q, nil
}

func parseStep(c *web.Call, q *sampleQuery) error {
	step, agg := c.Value("step"), c.Value("agg")
	if step == "" {
		if agg != "" {
			return penstock.Errorf(penstock.Invalid, "agg=%.40s needs a step", agg)
		}
		return nil
	}
	d, err := parseDuration(step)
	if err != nil {
		return penstock.Errorf(penstock.Invalid, "step: %w", err)
	}
	if agg == "" {
		agg = "avg"
	}
	f, ok := aggregations[agg]
	if !ok {
		return penstock.Errorf(penstock.Invalid, "agg=%.40q is not known: it is avg, min, max, sum, count, first or last", agg)
	}
	q.step, q.agg = int64(d), f
	return nil
}
