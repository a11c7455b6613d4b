package fleet

import (
	"sync/atomic"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet/place"
	"github.com/penstock/penstock/internal/fleet/point"
	"github.com/penstock/penstock/internal/fleet/row"
)

// pageSize is how many controllers share a record of the table. A flush of a
// fleet of 5,000 that all reported then costs 20 writes and not 5,000.
const pageSize = 256

// page is a run of controllers in the order of their registration. A controller
// never leaves its page.
type page struct {
	number  uint64
	members []*controller // guarded by the fleet's mu
	dirty   atomic.Bool   // something is not in the table yet
}

func (p *page) touch() {
	if !p.dirty.Load() { // spares the other cores a write to a shared line
		p.dirty.Store(true)
	}
}

// memberRecord is a controller in the record of its page.
type memberRecord struct {
	Name   string                `json:"name"`
	First  int64                 `json:"first,omitempty"`
	Last   int64                 `json:"last,omitempty"`
	Source string                `json:"source,omitempty"`
	Form   penstock.IdentityForm `json:"form,omitempty"`
	Epoch  uint64                `json:"epoch,omitempty"`
	Seq    uint64                `json:"seq,omitempty"`
	Key    string                `json:"key,omitempty"`
	Site   string                `json:"site,omitempty"` // with row.FeaturePlace, as the next
	Line   string                `json:"line,omitempty"`
}

// insert puts the controller into the map and the last page that has room. The
// caller holds f.mu, or is the only one to know f.
func (f *Fleet) insert(c *controller) {
	last := len(f.pages) - 1
	if last < 0 || len(f.pages[last].members) >= pageSize {
		f.pages = append(f.pages, &page{number: uint64(len(f.pages))})
		last++
	}
	c.page = f.pages[last]
	c.page.members = append(c.page.members, c)
	f.controllers[c.name] = c
}

// maxPage is far above the number of any page that a fleet ever had.
const maxPage = 1 << 20

// loadPage takes a page of the table; they come in any order. A page that was
// never written before a crash stays empty: its controllers register again.
func (f *Fleet) loadPage(key, value []byte) error {
	var members []memberRecord
	if err := row.Decode(value, &members); err != nil {
		return err
	}
	number := row.Number(key)
	if number > maxPage || len(members) > pageSize {
		return penstock.Errorf(penstock.Corrupt, "fleet: page %d of %d controllers in the table, want at most %d of %d", number, len(members), maxPage, pageSize)
	}
	for uint64(len(f.pages)) <= number {
		f.pages = append(f.pages, &page{number: uint64(len(f.pages))})
	}
	p := f.pages[number]
	for _, m := range members {
		if f.controllers[m.Name] != nil {
			return penstock.Errorf(penstock.Corrupt, "fleet: controller %q is twice in the table", m.Name)
		}
		c := &controller{name: m.Name, page: p, points: map[string]point.State{}}
		c.seen = sighting{m.First, m.Last, m.Source, penstock.Identity{Form: m.Form, Epoch: m.Epoch, Seq: m.Seq, Key: m.Key}}
		c.place = place.Place{Site: m.Site, Line: m.Line}.Interned()
		p.members = append(p.members, c)
		f.controllers[m.Name] = c
	}
	return nil
}

// Flush writes what changed since the last call to the table: controllers that
// registered themselves, and when each was seen last. It is to be called about
// once a minute and at the end.
func (f *Fleet) Flush() error {
	f.mu.RLock()
	pages := f.pages[:len(f.pages):len(f.pages)]
	f.mu.RUnlock()
	for _, p := range pages {
		if !p.dirty.Load() {
			continue
		}
		if err := f.writePages(map[*page]bool{p: true}, map[string][]byte{}); err != nil {
			return err
		}
	}
	return nil
}

// writePages writes the pages, and other rows of the table, in one piece.
func (f *Fleet) writePages(pages map[*page]bool, rows map[string][]byte) (err error) {
	f.writing.Lock()
	defer f.writing.Unlock()
	defer func() {
		if err != nil {
			for p := range pages {
				p.dirty.Store(true)
			}
		}
	}()
	for p := range pages {
		p.dirty.Store(false) // before the snapshot: what changes after it is dirty again
		value, err := row.Encode(f.snapshot(p))
		if err != nil {
			return err
		}
		rows[string(row.Key(row.Page, p.number))] = value
	}
	if len(rows) == 0 {
		return nil
	}
	return f.table.PutAll(rows)
}

func (f *Fleet) snapshot(p *page) (records []memberRecord, features byte) {
	f.mu.RLock()
	members := p.members[:len(p.members):len(p.members)]
	f.mu.RUnlock()
	records = make([]memberRecord, len(members))
	for i, c := range members {
		c.mu.RLock()
		id := c.seen.Identity
		records[i] = memberRecord{c.name, c.seen.First, c.seen.Last, c.seen.Source, id.Form, id.Epoch, id.Seq, id.Key, c.place.Site, c.place.Line}
		if c.place != (place.Place{}) {
			features = row.FeaturePlace
		}
		c.mu.RUnlock()
	}
	return records, features
}
