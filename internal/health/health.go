package health

import (
	"slices"
	"strings"
	"sync"
	"time"

	grpchealth "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// State is what a component, or the whole gateway, says of itself.
type State string

// The states.
const (
	Starting State = "starting" // has not yet done its work once
	OK       State = "ok"       // did what it should when it was last asked
	Failing  State = "failing"  // cannot do its work: see why
	Draining State = "draining" // the whole gateway only: takes nothing new
)

// Options are the clock and the listener of changes of a [Health].
type Options struct {
	Now func() time.Time // nil means time.Now
	// Changed is told each change of a component's state; nil for none. It must
	// not call the Health.
	Changed func(component string, s State, why string)
}

// Health holds the states of the gateway's components. It is safe for
// concurrent use.
type Health struct {
	now     func() time.Time
	changed func(string, State, string)
	rpc     *grpchealth.Server

	mu         sync.Mutex // guards everything below
	components []*Component
	started    time.Time // when all that is needed was OK for the first time; zero before
	draining   time.Time // zero before
}

// Component is one part of the gateway. Its methods are cheap and safe for
// concurrent use: call them at every success or failure.
type Component struct {
	health *Health
	name   string
	needed bool

	state State // guarded by health.mu, as the next two are
	since time.Time
	why   string
}

// New returns a Health without components.
func New(o Options) *Health {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Changed == nil {
		o.Changed = func(string, State, string) {}
	}
	h := &Health{now: o.Now, changed: o.Changed, rpc: grpchealth.NewServer()}
	h.rpc.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	return h
}

// Needed adds a component without which no report can be acknowledged. The
// gateway is ready only while all of these are OK. The name is also that of a
// service in grpc.health.v1.
func (h *Health) Needed(name string) *Component { return h.add(name, true) }

// Watched adds a component whose failure is shown and does not stop
// acknowledgements.
func (h *Health) Watched(name string) *Component { return h.add(name, false) }

func (h *Health) add(name string, needed bool) *Component {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &Component{health: h, name: name, needed: needed, state: Starting, since: h.now()}
	h.components = append(h.components, c)
	slices.SortFunc(h.components, func(a, b *Component) int { return strings.Compare(a.name, b.name) })
	h.publish(c)
	return c
}

// Remove takes the component out: it is not part of the gateway any more.
func (c *Component) Remove() {
	h := c.health
	h.mu.Lock()
	defer h.mu.Unlock()
	h.components = slices.DeleteFunc(h.components, func(o *Component) bool { return o == c })
	h.rpc.SetServingStatus(c.name, healthpb.HealthCheckResponse_SERVICE_UNKNOWN)
}

// OK says that the component does its work.
func (c *Component) OK() { c.set(OK, "") }

// Failing says that it cannot, and why, in a sentence for the operator.
func (c *Component) Failing(why string) { c.set(Failing, why) }

func (c *Component) set(s State, why string) {
	h := c.health
	h.mu.Lock()
	if c.state == s && c.why == why {
		h.mu.Unlock()
		return
	}
	if c.state != s {
		c.state, c.since = s, h.now()
	}
	c.why = why
	h.publish(c)
	h.mu.Unlock()
	h.changed(c.name, s, why)
}

// Drain says that the gateway takes nothing new from now on, to all who ask.
// Call it before the listeners are closed.
func (h *Health) Drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining.IsZero() {
		h.draining = h.now()
	}
	h.rpc.Shutdown() // every service NOT_SERVING, for good
}

// publish hands the state of c and of the whole to gRPC. h.mu is held, so that
// states are published in the order in which they came about.
func (h *Health) publish(c *Component) {
	h.rpc.SetServingStatus(c.name, serving(c.state == OK))
	ready := h.ready()
	if ready && h.started.IsZero() {
		h.started = h.now()
	}
	h.rpc.SetServingStatus("", serving(ready))
}

func serving(ok bool) healthpb.HealthCheckResponse_ServingStatus {
	if ok {
		return healthpb.HealthCheckResponse_SERVING
	}
	return healthpb.HealthCheckResponse_NOT_SERVING
}

// ready tells whether an acknowledgement is possible: something is needed for
// it, and all of that is OK. h.mu is held.
func (h *Health) ready() bool {
	needed := 0
	for _, c := range h.components {
		if c.needed && c.state != OK {
			return false
		}
		if c.needed {
			needed++
		}
	}
	return needed > 0 && h.draining.IsZero()
}

// Ready tells whether a report can be acknowledged now.
func (h *Health) Ready() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ready()
}

// Snapshot is the state of the whole and of each component, as /readyz shows it.
type Snapshot struct {
	Status     State            `json:"status"`
	Since      time.Time        `json:"since,omitzero"`
	Components []ComponentState `json:"components"`
}

// ComponentState is the state of one component.
type ComponentState struct {
	Name   string    `json:"name"`
	Status State     `json:"status"`
	Since  time.Time `json:"since"`
	Why    string    `json:"why,omitempty"`
	Needed bool      `json:"needed"` // no acknowledgement without it
}

// Snapshot returns the states at this moment.
func (h *Health) Snapshot() Snapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := Snapshot{Status: OK, Components: []ComponentState{}}
	for _, c := range h.components {
		r.Components = append(r.Components, ComponentState{c.name, c.state, c.since.UTC(), c.why, c.needed})
		// The whole has been as it is since the newest change of what is needed.
		if c.needed && c.since.After(r.Since) {
			r.Since = c.since.UTC()
		}
	}
	switch {
	case !h.draining.IsZero():
		r.Status, r.Since = Draining, h.draining.UTC()
	case h.ready():
	case h.started.IsZero():
		r.Status = Starting
	default:
		r.Status = Failing
	}
	return r
}
