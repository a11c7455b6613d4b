package fleet

import (
	"maps"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet/name"
	"github.com/penstock/penstock/internal/fleet/place"
	"github.com/penstock/penstock/internal/fleet/point"
)

// Entry is a line of what is imported: a controller and, unless its Point is
// empty, one of its points. The names are meant as they are: '*' is no pattern.
type Entry struct {
	Declaration
	place.Place       // of the controller; what is empty stays as it is
	State       State // Registered when empty
}

// Flaw is what is wrong with an entry.
type Flaw struct {
	Entry  int    // its index
	Beside int    // the index of the entry that it clashes with, -1 for none
	Column string // a column of a sheet
	Text   string // what is wrong and what to do
}

// Imported tells what an import changed, or would change.
type Imported struct {
	Controllers int // became registered
	Points      int // are declared now, or otherwise than before
	Places      int // controllers that stand elsewhere than was known
}

// Import registers the controllers of the entries and declares their points, by a
// person's decision, all or, when there is a flaw in one, none of them. It is
// durable when Import returns. It adds and replaces and never takes away: what it
// does not name stays as it is. A dry run tells what would be and changes nothing.
//
// Where the configuration says something of a point, an import may not say
// something else; where values of a point came, it keeps their type and unit.
func (f *Fleet) Import(entries []Entry, dry bool) (Imported, []Flaw, error) {
	f.importing.Lock()
	defer f.importing.Unlock()
	p := plan{fleet: f, byName: map[string]*wish{}}
	for i := range entries {
		p.add(i, &entries[i])
	}
	p.checkLimits()
	if len(p.flaws) > 0 || dry {
		return p.imported(), p.flaws, nil
	}
	return p.imported(), nil, p.carryOut()
}

// plan is an import that is being checked. It holds the fleet's importing.
type plan struct {
	fleet  *Fleet
	byName map[string]*wish
	wishes []*wish // in the order of the entries
	flaws  []Flaw
}

// wish is what is imported of one controller.
type wish struct {
	name   string
	entry  int  // the first that names it
	held   bool // it is only listed as held
	place  place.Place
	placed bool // it stands elsewhere than was known
	bare   int  // the entry without a point, -1 for none
	known  *controller
	points map[string]int          // by name, the entry
	rules  map[string]*point.Rules // of the points that change
	fresh  int                     // points that are not known yet
}

func (p *plan) flaw(entry int, column, text string) { p.clash(entry, -1, column, text) }

func (p *plan) clash(entry, beside int, column, text string) {
	p.flaws = append(p.flaws, Flaw{entry, beside, column, text})
}

// add checks one entry and takes it into the plan.
func (p *plan) add(i int, e *Entry) {
	w := p.wish(i, e)
	if w == nil || !p.addPlace(i, e, w) {
		return
	}
	if e.Point == "" {
		p.addBare(i, e, w)
		return
	}
	if err := name.CheckPoint(e.Point); err != nil {
		p.flaw(i, point.ColumnPoint, err.Error())
		return
	}
	if first, twice := w.points[e.Point]; twice {
		p.clash(i, first, point.ColumnPoint, "the point stands there twice")
		return
	}
	w.points[e.Point] = i
	if w.held {
		p.flaw(i, point.ColumnState, "a held controller has no points: leave out the point, or let the controller be registered")
		return
	}
	r, wrong := e.Rules()
	if wrong != nil {
		p.flaw(i, wrong.Column, wrong.Err.Error())
		return
	}
	p.addPoint(i, e.Point, w, &r)
}

// wish returns the wish that the entry belongs to, nil when it cannot.
func (p *plan) wish(i int, e *Entry) *wish {
	held := e.State == Held
	if e.State != "" && e.State != Registered && !held {
		p.flaw(i, point.ColumnState, penstock.Errorf(penstock.Invalid, "%.40q is neither registered nor held", string(e.State)).Error())
		return nil
	}
	if w := p.byName[e.Controller]; w != nil {
		if w.held != held {
			p.clash(i, w.entry, point.ColumnState, "the same controller has another state")
			return nil
		}
		return w
	}
	if err := name.CheckController(e.Controller); err != nil {
		p.flaw(i, point.ColumnController, err.Error())
		return nil
	}
	w := &wish{
		name: e.Controller, entry: i, held: held, bare: -1, known: p.fleet.find(e.Controller),
		points: map[string]int{}, rules: map[string]*point.Rules{},
	}
	if held && w.known != nil {
		p.flaw(i, point.ColumnState, "the controller is registered, and an import does not hold it: revoke its credential to keep it out")
		return nil
	}
	p.byName[w.name] = w
	p.wishes = append(p.wishes, w)
	return w
}

// addPlace takes in where the controller stands, and tells whether that holds.
func (p *plan) addPlace(i int, e *Entry, w *wish) bool {
	if column, err := e.Check(); err != nil {
		p.flaw(i, column, err.Error())
		return false
	}
	if column := e.Contradicts(w.place); column != "" {
		p.clash(i, w.entry, column, "the same controller has another "+column)
		return false
	}
	w.place = e.Over(w.place)
	known, _ := p.fleet.Controller(w.name)
	w.placed = w.place.Over(known.Place) != known.Place
	return true
}

// addBare checks an entry without a point.
func (p *plan) addBare(i int, e *Entry, w *wish) {
	if w.bare >= 0 {
		p.clash(i, w.bare, point.ColumnController, "the controller stands there twice without a point")
		return
	}
	w.bare = i
	if column := e.Stated(); column != "" {
		p.flaw(i, column, "this belongs to a point: name it")
	}
}

// addPoint holds the rules of a point against the configuration and against what
// the point holds.
func (p *plan) addPoint(i int, name string, w *wish, r *point.Rules) {
	configured := p.fleet.declared.Of(w.name, name)
	if configured != nil {
		if all := configured.Contradicts(r); len(all) > 0 {
			p.flaw(i, all[0].Column, all[0].String()+": change one of them")
			return
		}
		together := r.Under(configured)
		if wrong := together.Check(); wrong != nil {
			p.flaw(i, wrong.Column, "with what the configuration declares: "+wrong.Err.Error())
			return
		}
	}
	known, before, exists := w.state(name)
	if wrong := known.Contradicts(r); wrong != nil {
		p.flaw(i, wrong.Column, wrong.Err.Error())
		return
	}
	if before != nil && *before == *r {
		return // said before
	}
	w.rules[name] = r
	if !exists {
		w.fresh++
	}
}

// state returns a point of the controller and what was imported of it, and whether
// it is there.
func (w *wish) state(name string) (known point.State, imported *point.Rules, exists bool) {
	if w.known == nil {
		return known, nil, false
	}
	w.known.mu.RLock()
	defer w.known.mu.RUnlock()
	known, exists = w.known.points[name]
	return known, w.known.imported[name], exists
}

// checkLimits refuses what the fleet has no room for.
func (p *plan) checkLimits() {
	f := p.fleet
	f.mu.RLock()
	controllers := len(f.controllers)
	f.mu.RUnlock()
	held := p.heldThen()
	points := int(f.points.Load())
	for _, w := range p.wishes {
		owned := 0
		switch {
		case w.held:
		case w.known == nil:
			controllers++
		default:
			w.known.mu.RLock()
			owned = len(w.known.points)
			w.known.mu.RUnlock()
		}
		points += w.fresh
		for _, limit := range []struct {
			is, may int
			column  string
			what    string
		}{
			{controllers, f.limits.Controllers, point.ColumnController, "controllers"},
			{held, f.limits.Held, point.ColumnController, "held controllers"},
			{owned + w.fresh, f.limits.PointsPerController, point.ColumnPoint, "points of one controller"},
			{points, f.limits.Points, point.ColumnPoint, "points of all controllers"},
		} {
			if limit.is > limit.may {
				p.flaw(w.entry, limit.column, penstock.Errorf(penstock.TooLarge, "with this controller there would be %d %s, and the gateway takes %d", limit.is, limit.what, limit.may).Error())
				return
			}
		}
	}
}

// heldThen returns how many controllers would be listed as held.
func (p *plan) heldThen() int {
	f := p.fleet
	f.waiting.Lock()
	defer f.waiting.Unlock()
	n := len(f.held)
	for _, w := range p.wishes {
		if w.held && f.held[w.name] == nil {
			n++
		}
	}
	return n
}

func (p *plan) imported() Imported {
	var n Imported
	for _, w := range p.wishes {
		if w.known == nil && !w.held {
			n.Controllers++
		}
		n.Points += len(w.rules)
		if w.placed {
			n.Places++
		}
	}
	return n
}

// carryOut writes what is planned in one piece, and then lets it hold. Between
// both a report may have taught a point another type: what it holds stays.
func (p *plan) carryOut() error {
	rows := map[string][]byte{}
	imported := map[*controller]map[string]*point.Rules{}
	touched, before := map[*page]bool{}, map[*controller]place.Place{}
	for _, w := range p.wishes {
		if w.held {
			p.listHeld(w)
			continue
		}
		c, err := p.fleet.ensure(w.name, p.fleet.limits.Controllers)
		if err != nil {
			return err
		}
		before[c] = c.stand(w.place)
		touched[c.page] = true // it may have registered itself, and not be in the table yet
		if len(w.rules) == 0 {
			continue
		}
		all := map[string]*point.Rules{}
		maps.Copy(all, c.imported) // only an import changes it, and there is no other
		for name, r := range w.rules {
			all[strings.Clone(name)] = r // and not all of the row that it came in
		}
		imported[c] = all
		if err := p.addSheets(rows, c, all); err != nil {
			return err
		}
	}
	if err := p.fleet.writePages(touched, rows); err != nil {
		for c, known := range before {
			c.mu.Lock()
			c.place = known
			c.mu.Unlock()
		}
		return penstock.Errorf(penstock.CodeOf(err), "the import could not be written, and nothing of it holds after a restart: %w", err)
	}
	for _, w := range p.wishes {
		if len(w.rules) > 0 {
			c := p.fleet.find(w.name)
			fresh := c.declare(p.fleet.declared, imported[c], maps.Keys(w.rules))
			p.fleet.points.Add(int64(fresh))
		}
	}
	return nil
}

// listHeld lists a controller as held, unless it is.
func (p *plan) listHeld(w *wish) {
	f := p.fleet
	f.waiting.Lock()
	defer f.waiting.Unlock()
	if f.held[w.name] == nil {
		f.held[strings.Clone(w.name)] = &Controller{Name: strings.Clone(w.name), State: Held}
	}
	h := f.held[w.name]
	h.Place = w.place.Over(h.Place).Interned()
}
