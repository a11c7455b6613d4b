package reportjson

import (
	"strings"

	"github.com/penstock/penstock"
)

const (
	maxNames = 1 << 14 // names of a sort that a decoder remembers
	maxOrder = 1 << 10 // samples of a report whose order a decoder remembers
)

// names holds the names that a decoder has seen and found good. Each map starts
// again when it is full, so that no sender can make it grow without end.
type names struct {
	controllers map[string]string
	points      map[string]string
	units       map[string]string
	statuses    map[string]penstock.Status
	order       []string // the points of the last report by index: most likely they come again; "" for unknown
}

// intern returns the name of the map that equals b. A name that is not there
// goes through check and into the map.
func intern(in *map[string]string, b []byte, check func(string) error) (string, error) {
	if name, ok := (*in)[string(b)]; ok {
		return name, nil
	}
	name := string(b)
	if err := check(name); err != nil {
		return "", err
	}
	if *in == nil || len(*in) >= maxNames {
		*in = make(map[string]string)
	}
	(*in)[name] = name
	return name, nil
}

func (n *names) keepStatus(text string, status penstock.Status) {
	if n.statuses == nil || len(n.statuses) >= maxNames {
		n.statuses = make(map[string]penstock.Status)
	}
	n.statuses[text] = status
}

func (d *Decoder) controller() string {
	text := d.scanner.text("a controller's name")
	if d.scanner.err != nil {
		return ""
	}
	name, err := intern(&d.names.controllers, text, penstock.CheckControllerName)
	d.scanner.check(err)
	return name
}

func (d *Decoder) unit() string {
	text := d.scanner.text("a unit")
	if d.scanner.err != nil {
		return ""
	}
	name, err := intern(&d.names.units, text, penstock.CheckUnit)
	d.scanner.check(err)
	return name
}

func (d *Decoder) point() string {
	s, n := &d.scanner, &d.names
	if s.peek() == '"' && s.sample < len(n.order) {
		name, at := n.order[s.sample], s.at+1
		if end := at + len(name); name != "" && end < len(s.b) && s.b[end] == '"' && string(s.b[at:end]) == name {
			s.at = end + 1
			return name
		}
	}
	text := s.text("a point's name")
	if s.err != nil {
		return ""
	}
	name, err := intern(&n.points, text, penstock.CheckPointName)
	s.check(err)
	n.expect(s.sample, name)
	return name
}

// expect notes that the point will most likely be that of the sample at index i
// again. A name that JSON has to escape is not compared with raw input.
func (n *names) expect(i int, point string) {
	if strings.ContainsAny(point, `"\\`) {
		point = ""
	}
	switch {
	case i < len(n.order):
		n.order[i] = point
	case i == len(n.order) && i < maxOrder:
		n.order = append(n.order, point)
	}
}
