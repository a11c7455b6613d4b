package fleet

import (
	"iter"
	"maps"
	"math"
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet/point"
	"github.com/penstock/penstock/internal/fleet/row"
)

// sheetPoints is how many points share a record, which stays well below the
// limit of a table with them.
const sheetPoints = 256

// sheetRecord is a part of what imports declare of a controller's points.
type sheetRecord struct {
	Controller string       `json:"controller"`
	Points     []ruleRecord `json:"points"`
}

type ruleRecord struct {
	Name   string   `json:"name"`
	Type   string   `json:"type,omitempty"`
	Unit   string   `json:"unit,omitempty"`
	Min    *float64 `json:"min,omitempty"`
	Max    *float64 `json:"max,omitempty"`
	Signal string   `json:"signal,omitempty"`
}

// addSheets adds the records that keep what was imported of the controller. A
// controller never has fewer of them than before.
func (p *plan) addSheets(rows map[string][]byte, c *controller, imported map[string]*point.Rules) error {
	n := 0
	for names := range slices.Chunk(slices.Sorted(maps.Keys(imported)), sheetPoints) {
		record := sheetRecord{Controller: c.name}
		for _, name := range names {
			d := imported[name].Declaration()
			record.Points = append(record.Points, ruleRecord{name, d.Type, d.Unit, d.Min, d.Max, d.Signal})
		}
		value, err := row.Encode(record, 0)
		if err != nil {
			return err
		}
		if n == len(c.sheets) {
			c.sheets = append(c.sheets, p.fleet.nextSheet)
			p.fleet.nextSheet++
		}
		rows[string(row.Key(row.Sheet, c.sheets[n]))] = value
		n++
	}
	return nil
}

// sheet is a record that was read.
type sheet struct {
	number uint64
	sheetRecord
}

func readSheet(key, value []byte) (sheet, error) {
	s := sheet{number: row.Number(key)}
	err := row.Decode(value, &s.sheetRecord)
	if err == nil && s.number == math.MaxUint64 {
		err = penstock.Errorf(penstock.Corrupt, "fleet: a record of imported points has the number %d", s.number)
	}
	return s, err
}

// load takes what was imported into the fleet that is being opened, whose
// controllers are all there.
func (s sheet) load(f *Fleet) error {
	c := f.find(s.Controller)
	if c == nil {
		return penstock.Errorf(penstock.Corrupt, "fleet: points were imported for controller %q, which is not in the table", s.Controller)
	}
	if c.imported == nil {
		c.imported = map[string]*point.Rules{}
	}
	var names []string
	for _, p := range s.Points {
		d := Declaration{Type: p.Type, Unit: p.Unit, Min: p.Min, Max: p.Max, Signal: p.Signal}
		r, wrong := d.Rules()
		if wrong != nil || c.imported[p.Name] != nil {
			return penstock.Errorf(penstock.Corrupt, "fleet: what was imported for point %q of controller %q cannot be read", p.Name, c.name)
		}
		c.imported[p.Name] = &r
		names = append(names, p.Name)
	}
	f.points.Add(int64(c.declare(f.declared, c.imported, slices.Values(names))))
	c.sheets = append(c.sheets, s.number)
	slices.Sort(c.sheets)
	f.nextSheet = max(f.nextSheet, s.number+1)
	return nil
}

// declare lets the imported rules hold for the points of those names, and returns
// how many of them were not known.
func (c *controller) declare(configured *point.Declarations, imported map[string]*point.Rules, names iter.Seq[string]) (fresh int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.imported = imported
	changed := map[string]point.State{}
	for name := range names {
		p, known := c.points[name]
		if !known {
			fresh++
		}
		changed[name] = p.Ruled(point.Combine(configured.Of(c.name, name), imported[name]))
	}
	c.apply(changed)
	return fresh
}

// Notes returns where imports say something else than the configuration, which
// holds, or than what was stored, which stays: a sentence each, and how many more
// there are.
func (f *Fleet) Notes() (notes []string, more int) {
	const most = 20
	note := func(text string) {
		if len(notes) < most {
			notes = append(notes, text)
		} else {
			more++
		}
	}
	for _, known := range f.Controllers() {
		c := f.find(known.Name)
		if c == nil {
			continue
		}
		c.mu.RLock()
		for _, name := range slices.Sorted(maps.Keys(c.imported)) {
			r, p := c.imported[name], c.points[name]
			if configured := f.declared.Of(c.name, name); configured != nil {
				for _, contradiction := range configured.Contradicts(r) {
					note(penstock.Errorf(penstock.Conflict, "point %q of controller %q: %s, as was imported", name, c.name, contradiction).Error())
				}
			} else if r.Kind != penstock.None && p.Kind != penstock.None && p.Kind != r.Kind {
				note(penstock.Errorf(penstock.Conflict, "point %q of controller %q holds values of type %s, and not %s, as was imported", name, c.name, p.Kind, r.Kind).Error())
			}
		}
		c.mu.RUnlock()
	}
	return notes, more
}
