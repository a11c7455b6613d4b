package judge

import (
	"math"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/sink/postgres/copyrow"
)

// Case is a batch, what the database holds of it, and what becomes of it.
type Case struct {
	Batch  penstock.Batch
	Refuse string // why no report of the batch can be stored; mostly empty
	// Room returns an error when there can be no partition for a time, in
	// microseconds since 1970.
	Room func(micros int64) error

	Settled  interval.Set // positions, before
	Outcomes map[penstock.Position]penstock.Settlement
	Held     map[string]*Held       // by name; what names no controller belongs to ""
	Owners   map[string]*Held       // the same by the names that deliveries have
	Existing map[SampleAt][]Content // samples that may be those of natural reports
	Parked   map[int64]*Parked      // reports in quarantine that somebody decided about

	Marks   []Mark // one for each delivery
	Points  []NewPoint
	Keys    []NewKey
	Refused []Refusal
	Rows    []copyrow.Row // without the points' numbers
	Of      []*Point      // the point of each row

	found []*Point // those of the report that is judged
}

// Mark is what becomes of one delivery.
type Mark struct {
	Settlement penstock.Settlement
	Before     bool // the position was settled already
}

// Controller is what is known of a controller and its points.
type Controller struct {
	ID     int32
	Points map[string]*Point
}

// Point is what is known of a point.
type Point struct {
	ID   int32 // 0 until it is in the table
	Unit string
	Kind penstock.Kind
}

// Stale tells whether the controller's points must be read before the report can be
// judged: it names an unknown one, or a unit that another node may have named.
func (c *Controller) Stale(r *penstock.Report) bool {
	for i := range r.Samples {
		s := &r.Samples[i]
		known := c.Points[s.Point]
		if known == nil || s.Unit != "" && known.Unit == "" {
			return true
		}
	}
	return false
}

// Held is a controller whose row the transaction has locked.
type Held struct {
	*Controller
	Epochs  map[uint64]*Epoch // 0 for reports without a sequence
	Natural bool              // the batch has natural reports of it
	Newest  int64             // no sample in the table is newer; for natural reports only

	// Nil until something is in them: most controllers have sequences.
	keys    map[string]penstock.Fingerprint
	pending map[SampleAt][]Content // samples that this batch stores; for natural reports only
}

// NewHeld returns the controller with nothing settled.
func NewHeld(c *Controller) *Held {
	return &Held{Controller: c, Epochs: map[uint64]*Epoch{}, Newest: math.MinInt64}
}

// Keep notes a key that is settled.
func (h *Held) Keep(key string, f penstock.Fingerprint) {
	if h.keys == nil {
		h.keys = map[string]penstock.Fingerprint{}
	}
	h.keys[key] = f
}

// Epoch returns the epoch of a report, 0 for one without a sequence.
func (h *Held) Epoch(id penstock.Identity) *Epoch {
	number := uint64(0)
	if id.Form == penstock.Sequence && id.Check() == nil {
		number = id.Epoch
	}
	e := h.Epochs[number]
	if e == nil {
		e = &Epoch{Newest: math.MinInt64}
		h.Epochs[number] = e
	}
	return e
}

// Epoch is what is settled of an epoch, and what the batch adds.
type Epoch struct {
	Numbers interval.Set
	Filled  interval.Set // refused or declared lost
	Changes int64        // of its row
	Read    bool         // it was looked up
	Exists  bool         // and is in the table

	Touched bool
	Added   interval.Set
	Refused interval.Set // what is added to Filled
	Newest  int64        // source_time of a sample
	Counts  Counts
}

// Counts are what the batch adds to the columns of the same names.
type Counts struct{ Reports, Duplicates, Quarantined, Samples, Conflicts int64 }

// Parked is a report in quarantine about which somebody decided.
type Parked struct {
	Report *penstock.Report // nil when it can no longer be decoded
	Gone   bool             // it is in quarantine no more
	Again  bool             // it was refused again
	Reason string           // why
}

// Refusal is a report on its way to quarantine.
type Refusal struct {
	Index  int // of its delivery
	Owner  *Held
	Report *penstock.Report
	Cause  string
	Reason string
}

// The causes of a refusal.
const (
	ByRecord = "record" // it can never be stored
	ByRule   = "rule"   // a step before wants it held
)

// NewKey is a key that the batch settles.
type NewKey struct {
	Owner  *Held
	Report *penstock.Report
}

// NewPoint is a point that the batch makes or changes.
type NewPoint struct {
	Owner *Held
	Name  string
	*Point
}

// NameOf returns the name of a delivery's controller, as it stands there.
func NameOf(d *penstock.Delivery) string {
	switch {
	case d.Report != nil:
		return d.Report.Controller
	case d.Decision != nil:
		return d.Decision.Controller
	}
	return ""
}

// Name returns the name under which what has this one is kept: none, when it
// cannot be a controller's.
func Name(name string) string {
	if penstock.CheckControllerName(name) != nil {
		return ""
	}
	return name
}

// EachReport calls do for every report that may be stored: those of the batch that
// are not settled yet, and those in quarantine that somebody decided about.
func (c *Case) EachReport(do func(h *Held, r *penstock.Report)) {
	for i := range c.Batch.Deliveries {
		d := &c.Batch.Deliveries[i]
		if c.Settled.Contains(uint64(d.Position)) {
			continue
		}
		r := d.Report
		if d.Decision != nil {
			if p := c.Parked[int64(d.Decision.Number)]; p != nil {
				r = p.Report
			}
		}
		if r != nil && (d.Decision == nil || r.Controller == d.Decision.Controller) {
			do(c.Owners[NameOf(d)], r)
		}
	}
}
