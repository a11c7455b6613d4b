package trial

import (
	"math"
	"slices"
	"time"

	"github.com/penstock/penstock/internal/diagnose"
)

// Kind is a kind of fault.
type Kind string

// The kinds that are injected.
const (
	None    Kind = "none"
	Radio   Kind = "radio"
	Noise   Kind = "noise"
	Clock   Kind = "clock"
	Hang    Kind = "hang"
	Network Kind = "network"
	Stall   Kind = "gateway"
	Store   Kind = "store"
)

// Kinds are those with a fault.
//
//lint:table
func Kinds() []Kind { return []Kind{Radio, Noise, Clock, Hang, Network, Stall, Store} }

// Label returns the cause that a fault of the kind has.
func (k Kind) Label() diagnose.Cause {
	switch k {
	case Radio, Noise:
		return diagnose.Physical
	case Clock, Hang:
		return diagnose.Controller
	case Network:
		return diagnose.Network
	case Stall:
		return diagnose.Gateway
	case Store:
		return diagnose.Store
	case None:
	}
	return diagnose.Healthy
}

// fault is one that is injected. Its methods on a nil fault are those of a healthy
// plant.
type fault struct {
	kind     Kind
	severity float64 // 0 to 1
	target   string  // site, line or controller
	from, to time.Time
	ramp     time.Duration
	way      int // which form it takes
}

// newFault draws a fault.
func newFault(w *world, kind Kind, from, to time.Time) *fault {
	f := &fault{kind: kind, severity: w.random.Float64(), from: from, to: to, way: w.random.IntN(3)}
	if w.random.IntN(2) == 0 {
		f.ramp = time.Minute
	}
	var of []*unit
	for _, u := range w.units {
		if kind == Radio && u.radio || kind == Noise && u.polled || kind != Radio && kind != Noise {
			of = append(of, u)
		}
	}
	u := of[w.random.IntN(len(of))]
	switch kind {
	case Radio, Network:
		f.target = u.site
	case Noise:
		f.target = u.line
	case Clock, Hang:
		f.target = u.name
	case None, Stall, Store:
	}
	return f
}

// affected returns the controllers that the fault takes.
func (f *fault) affected(w *world) []*unit {
	if f.kind == None {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(w.units), func(u *unit) bool { return f.target != "" && !f.hits(u) })
}

func (f *fault) hits(u *unit) bool {
	return f.target == u.site || f.target == u.line || f.target == u.name
}

// on tells whether a fault of the kind is there now, for the controller.
func (f *fault) on(w *world, kind Kind, u *unit) bool {
	return f != nil && f.kind == kind && !w.now.Before(f.from) && w.now.Before(f.to) && (u == nil || f.hits(u))
}

// share is how much of a fault that comes slowly is there.
func (f *fault) share(w *world) float64 {
	if f.ramp == 0 {
		return 1
	}
	return math.Min(1, float64(w.now.Sub(f.from))/float64(f.ramp))
}

// onWay says what the fault adds to a way.
func (f *fault) onWay(w *world, u *unit) (loss, damage float64, delay time.Duration) {
	switch {
	case f.on(w, Noise, u):
		return 0, (0.08 + 0.6*f.severity) * f.share(w), 0
	case f.on(w, Network, u) && f.way == 0: // nothing passes
		return 1, 0, 0
	case f.on(w, Network, u) && f.way == 1:
		return 0.35 + 0.6*f.severity, 0, 0
	case f.on(w, Network, u):
		return 0.02, 0, time.Duration((2 + 12*f.severity) * f.share(w) * float64(time.Second))
	}
	return 0, 0, 0
}

// fade returns how many dB the signal is weaker.
func (f *fault) fade(w *world, u *unit) float64 {
	if f.on(w, Radio, u) {
		return (9 + 24*f.severity) * f.share(w)
	}
	return 0
}

func (f *fault) hangs(w *world, u *unit) bool { return f.on(w, Hang, u) }

// dead tells whether a controller that hangs does not even answer.
func (f *fault) dead(w *world, u *unit) bool { return f.on(w, Hang, u) && f.way == 0 }

// storing says how much longer the record takes, stopped until when it does nothing.
func (f *fault) storing(w *world) time.Duration {
	if f.on(w, Store, nil) && f.way != 0 {
		return time.Duration((1.5 + 15*f.severity) * float64(time.Second))
	}
	return 0
}

func (f *fault) stopped(w *world) time.Duration {
	if f.on(w, Store, nil) && f.way == 0 {
		return f.to.Sub(w.now)
	}
	return 0
}

// begin starts what a fault does by itself.
func (f *fault) begin(w *world) {
	switch f.kind {
	case Clock:
		by := time.Duration(math.Exp(math.Log(1.5)+f.severity*math.Log(4000)) * float64(time.Second))
		if f.way == 0 {
			by = -by
		}
		for _, u := range f.affected(w) {
			by = max(by, u.every) // what is less than half of the interval hides in it
			if f.way == 0 {
				by = -max(-by, u.every)
			}
			u.skew += by
		}
	case Stall:
		w.stand(f)
	case None, Radio, Noise, Hang, Network, Store:
	}
}

// stand stops the gateway, again and again.
func (w *world) stand(f *fault) {
	if !w.now.Before(f.to) {
		return
	}
	for_ := time.Duration((1.5 + 20*f.severity) * float64(time.Second))
	w.stall = w.now.Add(for_)
	w.in(for_+time.Second+w.upTo(4*time.Second), func() { w.stand(f) })
}
