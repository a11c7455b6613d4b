package fleet

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet/credential"
	"github.com/penstock/penstock/internal/fleet/name"
	"github.com/penstock/penstock/internal/fleet/place"
	"github.com/penstock/penstock/internal/fleet/point"
)

// State says whether a controller's reports are taken.
type State string

// The states.
const (
	Registered State = "registered"
	Held       State = "held" // until a person admits it
)

// Controller is what the fleet tells of a controller. Times are nanoseconds
// since 1970 UTC on the gateway's clock, 0 for never.
type Controller struct {
	Name         string
	State        State
	FirstSeen    int64             // when its first report was received
	LastSeen     int64             // when its last report was received, whatever became of it
	Source       string            // through which its last report came
	LastIdentity penstock.Identity // of its last report
	Points       int               // how many points it has
	place.Place                    // as was imported
}

// controller is a registered controller.
type controller struct {
	name string
	page *page

	mu       sync.RWMutex // guards everything below
	seen     sighting
	place    place.Place
	points   map[string]point.State
	imported map[string]*point.Rules // what imports declare, by point; nil for nothing
	sheets   []uint64                // numbers of the records that keep it
}

// sighting is what is remembered of the reports of a controller.
type sighting struct {
	First    int64
	Last     int64
	Source   string
	Identity penstock.Identity
}

// note takes the report into the sighting. Nothing of the report's memory is kept.
func (s *sighting) note(r *penstock.Report) {
	if s.First == 0 {
		s.First = r.ReceivedTime
	}
	s.Last = max(s.Last, r.ReceivedTime)
	s.Source = r.Source
	if r.Identity.Key != s.Identity.Key {
		s.Identity.Key = strings.Clone(r.Identity.Key)
	}
	s.Identity.Form, s.Identity.Epoch, s.Identity.Seq = r.Identity.Form, r.Identity.Epoch, r.Identity.Seq
}

func (c *controller) saw(r *penstock.Report) {
	c.mu.Lock()
	c.seen.note(r)
	c.mu.Unlock()
	c.page.touch()
}

// Register notes that the report came and tells whether the fleet takes reports
// of its controller: nil when it does. A controller seen for the first time is
// registered, held or refused, as the policy says; the caller has made sure that
// the sender may speak for it. Register does not wait for the table.
func (f *Fleet) Register(r *penstock.Report) *Refusal {
	if c := f.find(r.Controller); c != nil {
		c.saw(r)
		return nil
	}
	if err := name.CheckController(r.Controller); err != nil {
		return &Refusal{Reason: penstock.ReasonName, Detail: err.Error()}
	}
	switch f.unknown {
	case HoldUnknown:
		f.hold(r)
		return refuseUnknown("controller %q waits for a person to admit it: penstock controllers admit", r.Controller)
	case RejectUnknown:
		return refuseUnknown("controller %q is not registered: admit it, or add a credential that names it", r.Controller)
	}
	c, err := f.ensure(r.Controller, f.limits.Controllers)
	if err != nil {
		return &Refusal{Reason: penstock.ReasonUnknown, Detail: err.Error()}
	}
	c.saw(r)
	return nil
}

// Admit registers a controller, held or not seen yet, by a person's decision. It
// is durable when Admit returns.
func (f *Fleet) Admit(controller string) error {
	if err := name.CheckController(controller); err != nil {
		return err
	}
	c, err := f.ensure(controller, f.limits.Controllers)
	if err != nil {
		return err
	}
	return f.writePages(map[*page]bool{c.page: true}, map[string][]byte{})
}

// admitNamed registers the controllers that a controller's grant names in full: who is
// given a token is known.
func (f *Fleet) admitNamed(g credential.Grant) error {
	if g.Role != penstock.RoleController {
		return nil
	}
	for _, name := range g.Scope {
		if strings.Contains(name, "*") {
			continue
		}
		if err := f.Admit(name); err != nil {
			return err
		}
	}
	return nil
}

// Controllers returns all controllers, the held ones too, sorted by name.
func (f *Fleet) Controllers() []Controller {
	f.mu.RLock()
	registered := slices.Collect(maps.Values(f.controllers)) // reports must not wait for more than this
	f.mu.RUnlock()
	all := make([]Controller, 0, len(registered))
	for _, c := range registered {
		all = append(all, c.public())
	}
	f.waiting.Lock()
	for _, h := range f.held {
		all = append(all, *h)
	}
	f.waiting.Unlock()
	slices.SortFunc(all, func(a, b Controller) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Controller returns one controller, and false when the fleet does not know it.
func (f *Fleet) Controller(name string) (Controller, bool) {
	if c := f.find(name); c != nil {
		return c.public(), true
	}
	f.waiting.Lock()
	defer f.waiting.Unlock()
	if h := f.held[name]; h != nil {
		return *h, true
	}
	return Controller{}, false
}

func (c *controller) public() Controller {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return Controller{
		Name: c.name, State: Registered, FirstSeen: c.seen.First, LastSeen: c.seen.Last,
		Source: c.seen.Source, LastIdentity: c.seen.Identity, Points: len(c.points), Place: c.place,
	}
}

// stand notes where the controller stands, and returns where it stood.
func (c *controller) stand(at place.Place) (before place.Place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before = c.place
	c.place = at.Over(before).Interned()
	return before
}

func (f *Fleet) find(name string) *controller {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.controllers[name]
}

// ensure returns the registered controller of that name, made if need be.
func (f *Fleet) ensure(name string, limit int) (*controller, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.controllers[name]; c != nil {
		return c, nil
	}
	if len(f.controllers) >= limit {
		return nil, penstock.Errorf(penstock.TooLarge, "controller %q cannot be registered: there are %d controllers, which is the limit", name, limit)
	}
	c := &controller{name: strings.Clone(name), points: map[string]point.State{}}
	f.release(c)
	f.insert(c)
	c.page.touch()
	return c, nil
}

// hold lists the report's controller as held. The list is for people to look at:
// when it is full, the one seen longest ago makes room and comes back with its
// next report.
func (f *Fleet) hold(r *penstock.Report) {
	f.waiting.Lock()
	defer f.waiting.Unlock()
	h := f.held[r.Controller]
	if h == nil {
		if len(f.held) >= f.limits.Held {
			f.dropStalest()
		}
		h = &Controller{Name: strings.Clone(r.Controller), State: Held}
		f.held[h.Name] = h
	}
	s := sighting{First: h.FirstSeen, Last: h.LastSeen, Identity: h.LastIdentity}
	s.note(r)
	h.FirstSeen, h.LastSeen, h.Source, h.LastIdentity = s.First, s.Last, s.Source, s.Identity
}

// release takes a controller that is being registered from the held ones, with
// what was seen of it.
func (f *Fleet) release(c *controller) {
	f.waiting.Lock()
	defer f.waiting.Unlock()
	if h := f.held[c.name]; h != nil {
		c.seen = sighting{First: h.FirstSeen, Last: h.LastSeen, Source: h.Source, Identity: h.LastIdentity}
		c.place = h.Place
		delete(f.held, c.name)
	}
}

func (f *Fleet) dropStalest() {
	var stalest *Controller
	for _, h := range f.held {
		if stalest == nil || h.LastSeen < stalest.LastSeen {
			stalest = h
		}
	}
	if stalest != nil {
		delete(f.held, stalest.Name)
	}
}

func refuseUnknown(format, controller string) *Refusal {
	return &Refusal{Reason: penstock.ReasonUnknown, Detail: penstock.Errorf(penstock.NotFound, format, controller).Error()}
}
