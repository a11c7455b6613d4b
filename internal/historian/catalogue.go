package historian

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/head"
	"github.com/penstock/penstock/internal/historian/layout"
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
	points   map[string]uint32
	series   []series
	log      head.Log
	counters Counters

	// What follows belongs to Settle alone.
	coder   head.Coder
	newest  []int64 // by point: no sample is later
	touched bool    // since the last flush began
	pending int     // bytes of rows in the block under way
}

// series is one point of a controller.
type series struct {
	point  string
	unit   string
	kind   penstock.Kind
	latest penstock.Sample // without point and unit
	has    bool            // there is a latest
}

// observe keeps the later of s and the latest; of two at one time the one that
// was settled later.
func (s *series) observe(n *penstock.Sample) {
	if s.has && n.SourceTime < s.latest.SourceTime {
		return
	}
	s.has = true
	s.latest = *n
	s.latest.Point, s.latest.Unit = "", ""
}

// catalogue is all controllers and their series.
type catalogue struct {
	byName   map[string]*controller
	byNumber []*controller
	series   int
}

func (c *catalogue) add(name string) *controller {
	n := &controller{number: uint32(len(c.byNumber)), name: name, points: map[string]uint32{}}
	c.byName[name] = n
	c.byNumber = append(c.byNumber, n)
	return n
}

func (c *catalogue) addPoint(n *controller, point string) uint32 {
	index := uint32(len(n.series))
	n.points[point] = index
	n.series = append(n.series, series{point: point})
	n.newest = append(n.newest, math.MinInt64)
	n.coder.Grow(len(n.series))
	c.series++
	return index
}

func (c *catalogue) find(id SeriesID) (*controller, *series, error) {
	number, point := id.Split()
	if int64(number) < int64(len(c.byNumber)) {
		n := c.byNumber[number]
		if int64(point) < int64(len(n.series)) {
			return n, &n.series[point], nil
		}
	}
	return nil, nil, penstock.Errorf(penstock.NotFound, "there is no series %d", id)
}

// Series returns the series that the selector means, by controller and point.
func (h *Historian) Series(sel Selector) []Series {
	matches := func(pattern, name string) bool {
		return pattern == "" || penstock.Scope{pattern}.Covers(name)
	}
	var found []Series
	h.mu.RLock()
	for _, c := range h.catalogue.byNumber {
		if !matches(sel.Controller, c.name) || !sel.Scope.Covers(c.name) {
			continue
		}
		for i := range c.series {
			s := &c.series[i]
			if matches(sel.Point, s.point) {
				found = append(found, Series{ID: layout.NewSeriesID(c.number, uint32(i)), Controller: c.name, Point: s.point, Unit: s.unit, Kind: s.kind})
			}
		}
	}
	h.mu.RUnlock()
	slices.SortFunc(found, func(a, b Series) int {
		return cmp.Or(cmp.Compare(a.Controller, b.Controller), cmp.Compare(a.Point, b.Point))
	})
	return found
}

// appendSeries writes the row of a series: kind (1 byte), length of the unit,
// unit, point.
func appendSeries(dst []byte, s *series) []byte {
	dst = append(dst, byte(s.kind))
	return append(layout.AppendText(dst, s.unit), s.point...)
}

func readSeries(b []byte) (kind penstock.Kind, unit, point string, ok bool) {
	r := layout.Reader{B: b}
	kind = penstock.Kind(r.Byte())
	unit = r.Text()
	return kind, unit, string(r.B), !r.Bad && kind <= penstock.Text
}

// load reads the catalogue from the store.
func (c *catalogue) load(s *store.Store) error {
	c.byName = map[string]*controller{}
	err := s.Scan(layout.Controller.First(), layout.Controller.End(), func(key, value []byte) error {
		if len(key) != 6 || binary.BigEndian.Uint32(key[2:]) != uint32(len(c.byNumber)) {
			return damaged("controllers")
		}
		c.add(string(value))
		return nil
	})
	if err != nil {
		return err
	}
	return s.Scan(layout.Series.First(), layout.Series.End(), func(key, value []byte) error {
		if len(key) != 10 {
			return damaged("series")
		}
		number, index := SeriesID(binary.BigEndian.Uint64(key[2:])).Split()
		kind, unit, point, ok := readSeries(value)
		if !ok || int64(number) >= int64(len(c.byNumber)) {
			return damaged("series")
		}
		n := c.byNumber[number]
		if c.addPoint(n, point) != index {
			return damaged("series")
		}
		n.series[index].kind, n.series[index].unit = kind, unit
		return nil
	})
}

func damaged(what string) error {
	return penstock.Errorf(penstock.Corrupt, "the historian's %s are damaged: restore the store from a backup", what)
}
