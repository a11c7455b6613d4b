package mapping

import (
	"math"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/mapping/tree"
)

// clock reads the times of one Time.
type clock struct {
	value tree.Template
	as    string
	unit  int64 // nanoseconds of the number's unit; 0 for text
	zone  *time.Location
	since int64 // nanoseconds since 1970
}

var timeForms = []string{"rfc3339", "datetime", "seconds", "milliseconds", "microseconds", "nanoseconds"}

var timeUnits = map[string]int64{"seconds": 1e9, "milliseconds": 1e6, "microseconds": 1e3, "nanoseconds": 1}

// clock compiles a Time; nil stays nil.
func (c *compiler) clock(key string, t *Time, depth int) *clock {
	if t == nil {
		return nil
	}
	made := &clock{value: c.required(key+".value", t.Value, depth), as: t.As, unit: timeUnits[t.As]}
	if made.as == "" {
		made.as = "rfc3339"
	}
	if !slices.Contains(timeForms, made.as) {
		c.refuse(key+".as", "%s", unknownName("form of time", t.As, timeForms))
	}
	switch {
	case made.as == "datetime" && t.Zone == "":
		c.refuse(key+".zone", "is needed for a datetime: UTC or an offset such as +01:00; a zone with summer time would have an hour a year that nobody can tell apart")
	case made.as != "datetime" && t.Zone != "":
		c.refuse(key+".zone", "only a datetime has a zone")
	case t.Zone != "":
		made.zone = parseZone(t.Zone)
		if made.zone == nil {
			c.refuse(key+".zone", "%.20q is neither UTC nor an offset such as +01:00", t.Zone)
		}
	}
	if t.Since != "" {
		since, err := time.Parse(time.DateOnly, t.Since)
		if made.unit == 0 {
			c.refuse(key+".as", "since is for numbers: say which, such as seconds")
		}
		if err != nil || since.Year() < 1900 || since.Year() > 2100 {
			c.refuse(key+".since", "%.20q is no date such as 2000-01-01 from which a number counts", t.Since)
		}
		made.since = since.UnixNano()
	}
	return made
}

func parseZone(text string) *time.Location {
	if text == "UTC" || text == "Z" {
		return time.UTC
	}
	t, err := time.Parse("-07:00", text)
	if err != nil {
		return nil
	}
	_, seconds := t.Zone()
	return time.FixedZone(text, seconds)
}

// read returns nanoseconds since 1970, and false when the payload has no time.
func (k *clock) read(s *scope) (int64, bool, error) {
	found, ok, err := s.value(&k.value)
	if err != nil {
		return 0, false, err
	}
	v, isValue := found.(penstock.Value)
	if !ok || isValue && v.Kind() == penstock.None {
		return 0, false, nil
	}
	if !isValue {
		return 0, false, penstock.Errorf(penstock.Invalid, "time: it is %s", tree.Describe(found))
	}
	if k.unit != 0 {
		ns, ok := k.count(plain(v))
		if !ok {
			return 0, false, penstock.Errorf(penstock.Invalid, "time: %q is no number of %s that can be a time", tree.Shorten(plain(v)), k.as)
		}
		return ns, true, nil
	}
	ns, ok := k.written(v.Text())
	if v.Kind() != penstock.Text || !ok {
		return 0, false, penstock.Errorf(penstock.Invalid, "time: %s is not written as %s", tree.Describe(v), k.as)
	}
	return ns, true, nil
}

// count reads a number of units, exactly whatever its fraction.
func (k *clock) count(text string) (int64, bool) {
	const longest = 40
	r, ok := new(big.Rat).SetString(text)
	if !ok || len(text) > longest || strings.ContainsAny(text, "/eEpPxX_") {
		return 0, false
	}
	r.Mul(r, new(big.Rat).SetInt64(k.unit))
	ns := new(big.Int).Div(r.Num(), r.Denom())
	ns.Add(ns, big.NewInt(k.since))
	return ns.Int64(), ns.IsInt64()
}

// written reads a time that is text.
func (k *clock) written(text string) (int64, bool) {
	var t time.Time
	var err error
	if k.as == "rfc3339" {
		t, err = time.Parse(time.RFC3339Nano, text)
	} else {
		t, err = time.ParseInLocation("2006-01-02T15:04:05", strings.Replace(strings.TrimSpace(text), " ", "T", 1), k.zone)
	}
	if err != nil || t.Year() < 1678 || t.Year() > 2261 {
		return 0, false
	}
	ns := t.UnixNano()
	return ns, ns != math.MinInt64
}
