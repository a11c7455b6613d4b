package historian

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/head"
	"github.com/penstock/penstock/internal/historian/keys"
	"github.com/penstock/penstock/internal/historian/layout"
	"github.com/penstock/penstock/internal/historian/settled"
	"github.com/penstock/penstock/internal/store"
)

// answerWindow is how many positions back a settlement that is not plainly Stored
// is remembered, for a call that comes again.
const answerWindow = 1 << 20

// verdict is what is to be done with a report.
type verdict struct {
	settlement penstock.Settlement
	reason     string // when quarantined: a sentence
	controller *controller
	known      *settled.Set // of the report's epoch, when its identity is a sequence
	conflicts  uint64       // samples
	series     [2]int       // in the transaction's series: one for each sample
}

// otherContent is why a report with a known key is refused.
const otherContent = "the key is known with another content"

func checkNames(r *penstock.Report) error {
	return errors.Join(penstock.CheckControllerName(r.Controller), r.Identity.Check())
}

// judge decides by the identity of the report, or, when it is natural, by each
// sample. What hold says goes to quarantine unless it is a duplicate.
func (s *settler) judge(r *penstock.Report, hold string) (verdict, error) {
	v := verdict{settlement: penstock.Stored, controller: s.controllerOf(r)}
	if err := checkNames(r); err != nil {
		return v.refuse(err.Error()), nil
	}
	twice := false
	var err error
	switch r.Identity.Form {
	case penstock.Sequence:
		v.known, err = s.sets.Get(s.h.o.Store, settled.Key{Controller: v.controller.number, Epoch: r.Identity.Epoch})
		twice = err == nil && v.known.Contains(r.Identity.Seq)
	case penstock.Keyed:
		var content penstock.Fingerprint
		content, twice, err = s.keyed(r)
		if twice && content != r.Fingerprint {
			return v.refuse(otherContent), nil
		}
	}
	if err != nil {
		return v, err
	}
	if twice {
		v.settlement = penstock.StoredTwice
		return v, nil
	}
	if r.Identity.Form == penstock.Keyed {
		s.keepKey(r) // in quarantine it counts as known, too
	}
	if hold != "" {
		return v.refuse(hold), nil
	}
	if reason := s.resolve(r, &v); reason != "" {
		return v.refuse(reason), nil
	}
	if r.Identity.Form == penstock.Natural {
		err = s.sift(r, &v)
	}
	return v, err
}

func (v verdict) refuse(reason string) verdict {
	v.settlement, v.reason = penstock.Quarantined, reason
	return v
}

// controller finds the controller and makes it when it is new.
func (s *settler) controller(name string) *controller {
	if c := s.h.catalogue.byName[name]; c != nil {
		return c
	}
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	c := s.h.catalogue.add(name)
	s.unsaved = append(s.unsaved, c)
	return c
}

// resolve finds the series of each sample, making those that are new. It returns
// why the report can never be stored, and then has made none.
func (s *settler) resolve(r *penstock.Report, v *verdict) string {
	c, t := v.controller, &s.t
	start := len(t.series)
	v.series = [2]int{start, start + len(r.Samples)}
	unknown, changed := 0, false
	for i := range r.Samples {
		sample := &r.Samples[i]
		if reason := wrong(sample); reason != "" {
			return reason
		}
		point := c.lookup(sample.Point, i)
		t.series = append(t.series, point)
		if point == head.UnknownSeries {
			if err := penstock.CheckPointName(sample.Point); err != nil {
				return err.Error()
			}
			unknown++
			continue
		}
		if sample.Unit != "" && sample.Unit != c.points.Unit(point) {
			if known := c.points.Unit(point); known != "" {
				return "the unit of point " + sample.Point + " is " + known + ", not " + sample.Unit
			}
			changed = true
		}
		kind := sample.Value.Kind()
		changed = changed || kind != c.points.Kind(point) && kind != penstock.None
	}
	if s.h.catalogue.series+unknown > s.h.o.MaxSeries {
		return "the historian has its limit of series"
	}
	if unknown > 0 || changed {
		return s.describe(r, v, unknown)
	}
	return ""
}

// lookup guesses the series from its place in the row before.
func (c *controller) lookup(point string, i int) uint32 {
	if guess, ok := c.coder.Guess(i); ok && c.points.Name(guess) == point {
		return guess
	}
	if known, ok := c.points.Find(point); ok {
		return known
	}
	return head.UnknownSeries
}

// wrong says why a sample can never be stored: what the steps before let through
// by mistake must not spoil a chunk.
func wrong(s *penstock.Sample) string {
	v := &s.Value
	switch kind := v.Kind(); {
	case kind > penstock.Text, kind == penstock.None && v.Bits() != 0, kind == penstock.Bool && v.Bits() > 1:
		return "the value of point " + s.Point + " is not one"
	case kind == penstock.Text && (len(v.Text()) > penstock.MaxText || !utf8.ValidString(v.Text())):
		return "the text of point " + s.Point + " is too long or not UTF-8"
	case len(s.Unit) > penstock.MaxUnit:
		return "the unit of point " + s.Point + " is too long"
	}
	return ""
}

// describe makes the series that are new, at most so many, and notes units and
// kinds. A report that gives one point two units is refused.
func (s *settler) describe(r *penstock.Report, v *verdict, unknown int) string {
	c := v.controller
	units := map[string]string{}
	for i := range r.Samples {
		sample := &r.Samples[i]
		if unit, named := units[sample.Point]; named && sample.Unit != "" && sample.Unit != unit {
			return "point " + sample.Point + " comes with two units"
		}
		if sample.Unit != "" {
			units[sample.Point] = sample.Unit
		}
	}
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	c.points.Grow(unknown)
	for i := range r.Samples {
		sample := &r.Samples[i]
		point, known := c.points.Find(sample.Point)
		if !known {
			point = s.h.catalogue.addPoint(c, sample.Point)
		}
		s.t.series[v.series[0]+i] = point
		kind := sample.Value.Kind()
		changed := !known
		if kind != penstock.None && kind != c.points.Kind(point) {
			c.points.SetKind(point, kind)
			changed = true
		}
		if sample.Unit != "" && c.points.Unit(point) == "" {
			c.points.SetUnit(point, sample.Unit)
			changed = true
		}
		if changed {
			s.unsavedSeries = append(s.unsavedSeries, layout.NewSeriesID(c.number, point))
		}
	}
	return ""
}

// keyed looks the report's key up, also among those of this transaction.
func (s *settler) keyed(r *penstock.Report) (content penstock.Fingerprint, found bool, err error) {
	digest := s.h.o.Store.Digest("key", r.Controller, r.Identity.Key)
	if content, found = s.t.keys[digest]; found {
		return content, true, nil
	}
	content, found, whole, err := keys.Get(s.h.o.Store, digest)
	if !whole {
		err = layout.Damaged("keys")
	}
	return content, found, err
}

// keepKey keeps the key as long as the report's newest sample.
func (s *settler) keepKey(r *penstock.Report) {
	digest := s.h.o.Store.Digest("key", r.Controller, r.Identity.Key)
	if s.t.keys == nil {
		s.t.keys = map[[store.DigestSize]byte]penstock.Fingerprint{}
	}
	s.t.keys[digest] = r.Fingerprint
	keys.Put(s.t.batch, digest, r)
}

// identityDigest tells the report apart from another that comes at its position.
func (s *settler) identityDigest(r *penstock.Report) [store.DigestSize]byte {
	fingerprint := binary.BigEndian.AppendUint64(nil, uint64(r.Fingerprint))
	return s.h.o.Store.Digest("answer", r.Controller, r.Identity.String(), string(fingerprint))
}

// keepAnswer remembers a settlement that is not plainly Stored: settlement
// (1 byte), digest of what was delivered (16).
func (s *settler) keepAnswer(at penstock.Position, digest [store.DigestSize]byte, settled penstock.Settlement) {
	s.t.batch.Set(layout.Answer.Of8(uint64(at)), append([]byte{byte(settled)}, digest[:]...))
}

// answered returns what was answered to the same delivery at this position.
func (s *settler) answered(at penstock.Position, digest [store.DigestSize]byte) (penstock.Settlement, bool, error) {
	value, found, err := s.h.o.Store.Get(layout.Answer.Of8(uint64(at)))
	if !found || err != nil {
		return 0, false, err
	}
	if len(value) != 1+store.DigestSize || [store.DigestSize]byte(value[1:]) != digest {
		return 0, false, nil
	}
	return penstock.Settlement(value[0]), true, nil
}
