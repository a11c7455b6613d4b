package historian

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/books"
	"github.com/penstock/penstock/internal/historian/head"
	"github.com/penstock/penstock/internal/historian/layout"
	"github.com/penstock/penstock/internal/historian/points"
	"github.com/penstock/penstock/internal/store"
)

// SeriesID is the number of a series.
type SeriesID = layout.SeriesID

// Series describes one point's samples.
type Series struct {
	ID         SeriesID
	Controller string
	Point      string
	Unit       string        // UCUM, empty while no report said
	Kind       penstock.Kind // of the newest value that came; none while all were missing
}

// Selector says which series are meant. In Controller and Point a '*' stands for
// any run of characters, and an empty pattern for all.
type Selector struct {
	Controller string
	Point      string
	Scope      penstock.Scope // only controllers that it covers
}

// controller is what the historian knows of one.
type controller struct {
	number   uint32
	name     string
	points   points.Set
	log      head.Log
	counters books.Counters

	// What follows belongs to Settle alone.
	coder   head.Coder
	newest  []int64 // by point: no sample is later; nil until a natural report comes
	touched bool    // since the last flush began
	pending int     // bytes of rows in the block under way
}

// catalogue is all controllers and their series.
type catalogue struct {
	byName   map[string]*controller
	byNumber []*controller
	shared   *points.Shared
	series   int
}

func (c *catalogue) add(name string) *controller {
	n := &controller{number: uint32(len(c.byNumber)), name: name, points: c.shared.NewSet()}
	c.byName[name] = n
	c.byNumber = append(c.byNumber, n)
	return n
}

func (c *catalogue) addPoint(n *controller, point string) uint32 {
	c.series++
	return n.points.Add(point)
}

func (c *catalogue) find(id SeriesID) (*controller, uint32, error) {
	number, point := id.Split()
	if int64(number) < int64(len(c.byNumber)) {
		if n := c.byNumber[number]; int64(point) < int64(n.points.Len()) {
			return n, point, nil
		}
	}
	return nil, 0, penstock.Errorf(penstock.NotFound, "there is no series %d", id)
}

// Series returns the series that the selector means, by controller and point.
func (h *Historian) Series(sel Selector) []Series {
	matches := func(pattern, name string) bool {
		return pattern == "" || penstock.Scope{pattern}.Covers(name)
	}
	var controllers []*controller
	h.mu.RLock()
	for _, c := range h.catalogue.byNumber {
		if matches(sel.Controller, c.name) && sel.Scope.Covers(c.name) {
			controllers = append(controllers, c)
		}
	}
	h.mu.RUnlock()
	slices.SortFunc(controllers, func(a, b *controller) int { return cmp.Compare(a.name, b.name) })
	var found []Series
	for _, c := range controllers {
		start := len(found)
		h.mu.RLock()
		for i := range uint32(c.points.Len()) {
			if name := c.points.Name(i); matches(sel.Point, name) {
				found = append(found, Series{ID: layout.NewSeriesID(c.number, i), Controller: c.name, Point: name, Unit: c.points.Unit(i), Kind: c.points.Kind(i)})
			}
		}
		h.mu.RUnlock()
		slices.SortFunc(found[start:], func(a, b Series) int { return cmp.Compare(a.Point, b.Point) })
	}
	return found
}

// appendSeries writes the row of a series: kind (1 byte), length of the unit,
// unit, point.
func appendSeries(dst []byte, s *points.Set, point uint32) []byte {
	dst = append(dst, byte(s.Kind(point)))
	return append(layout.AppendText(dst, s.Unit(point)), s.Name(point)...)
}

func readSeries(b []byte) (kind penstock.Kind, unit, point string, ok bool) {
	r := layout.Reader{B: b}
	kind = penstock.Kind(r.Byte())
	unit = r.Text()
	return kind, unit, string(r.B), !r.Bad && kind <= penstock.Text
}

// load reads the catalogue from the store.
func (c *catalogue) load(s *store.Store) error {
	c.byName, c.shared = map[string]*controller{}, points.NewShared()
	err := s.Scan(layout.Controller.First(), layout.Controller.End(), func(key, value []byte) error {
		if len(key) != 6 || binary.BigEndian.Uint32(key[2:]) != uint32(len(c.byNumber)) {
			return layout.Damaged("controllers")
		}
		c.add(string(value))
		return nil
	})
	if err != nil {
		return err
	}
	return s.Scan(layout.Series.First(), layout.Series.End(), func(key, value []byte) error {
		if len(key) != 10 {
			return layout.Damaged("series")
		}
		number, index := SeriesID(binary.BigEndian.Uint64(key[2:])).Split()
		kind, unit, point, ok := readSeries(value)
		if !ok || int64(number) >= int64(len(c.byNumber)) {
			return layout.Damaged("series")
		}
		n := c.byNumber[number]
		if c.addPoint(n, point) != index {
			return layout.Damaged("series")
		}
		n.points.SetKind(index, kind)
		n.points.SetUnit(index, unit)
		return nil
	})
}
