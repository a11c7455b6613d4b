// Package trouble breaks a simulated plant on purpose, and knows what it broke: a
// radio that fades, noise on a line, a controller that hangs or has a wrong clock, a
// site without its network, a gateway or a store that stands still.
package trouble

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock"
)

// Kind is a kind of trouble.
type Kind string

// The kinds.
const (
	Radio   Kind = "radio"   // of a site: its signal fades
	Noise   Kind = "noise"   // on a line: bits flip
	Clock   Kind = "clock"   // of a controller: it steps
	Hang    Kind = "hang"    // of a controller: no reports, and its link answers
	Network Kind = "network" // of a site: little or nothing comes through, or slowly
	Store   Kind = "store"   // of the gateway: it hardly writes
	Gateway Kind = "gateway" // itself: it stands still again and again
)

// Causes returns where a person would have to look for each kind, in the words of
// the diagnosis.
func (k Kind) Cause() string {
	switch k {
	case Radio, Noise:
		return "physical"
	case Clock, Hang:
		return "controller"
	case Network, Store, Gateway:
	}
	return string(k)
}

func kinds() []Kind { return []Kind{Radio, Noise, Clock, Hang, Network, Store, Gateway} }

// Break is one trouble.
type Break struct {
	Kind     Kind
	Target   string        // site, line or controller; empty for the first that there is, or none
	Start    time.Duration // after the fleet began
	For      time.Duration // 0: to the end
	Severity float64       // 0 to 1
	Way      int           // which of the forms that it can take, 0 to 2
}

// DefaultStart is when a trouble begins that says nothing of it: the fleet is well
// known by then.
const DefaultStart = 20 * time.Second

// Parse reads KIND[:TARGET][@START[+FOR]], such as radio:site-02@30s+2m. The error's
// code is Invalid.
func Parse(text string) (Break, error) {
	b := Break{Start: DefaultStart}
	what, when, timed := strings.Cut(text, "@")
	kind, target, _ := strings.Cut(what, ":")
	b.Kind, b.Target = Kind(kind), target
	if !slices.Contains(kinds(), b.Kind) {
		return b, penstock.Errorf(penstock.Invalid, "%q breaks nothing: radio, noise, clock, hang, network, store and gateway can be broken", kind)
	}
	if (b.Kind == Store || b.Kind == Gateway) && target != "" {
		return b, penstock.Errorf(penstock.Invalid, "there is one %s: leave out %q", kind, target)
	}
	if !timed {
		return b, nil
	}
	start, length, _ := strings.Cut(when, "+")
	for _, d := range []struct {
		text string
		to   *time.Duration
	}{{start, &b.Start}, {length, &b.For}} {
		if d.text == "" {
			continue
		}
		var err error
		if *d.to, err = time.ParseDuration(d.text); err != nil || *d.to < 0 {
			return b, penstock.Errorf(penstock.Invalid, "%q is no time such as 30s+2m: the start after the beginning, and how long", when)
		}
	}
	return b, nil
}

// String returns the break as Parse reads it.
func (b *Break) String() string {
	text := string(b.Kind)
	if b.Target != "" {
		text += ":" + b.Target
	}
	text += "@" + b.Start.String()
	if b.For > 0 {
		text += "+" + b.For.String()
	}
	return text
}

// Place is where a simulated controller stands, and what it speaks over.
type Place struct {
	Name, Site, Line string
	Radio            bool
	Beats            bool // its link answers by itself
}

// fits tells whether the break can take the controller.
func (b *Break) fits(p *Place) bool {
	switch b.Kind {
	case Radio:
		return p.Radio
	case Noise:
		return p.Line != ""
	case Hang:
		return p.Beats
	case Clock, Network:
		return true
	case Store, Gateway:
	}
	return false
}

// name returns what the break takes of the controller's names.
func (b *Break) name(p *Place) string {
	switch b.Kind {
	case Radio, Network:
		return p.Site
	case Noise:
		return p.Line
	case Clock, Hang:
		return p.Name
	case Store, Gateway:
	}
	return ""
}

// Takes tells whether the break is about the controller.
func (b *Break) Takes(p *Place) bool {
	return b.Kind == Store || b.Kind == Gateway || b.fits(p) && b.name(p) == b.Target
}

// Settle gives the break a target and a severity that follow from the seed where it
// has none. The error, of code Invalid, names the targets that there are.
func (b *Break) Settle(places []Place, seed uint64) error {
	random := rand.New(rand.NewPCG(seed, 13))
	b.Severity, b.Way = random.Float64(), random.IntN(3)
	if b.Kind == Store || b.Kind == Gateway {
		return nil
	}
	var there []string
	for i := range places {
		if name := b.name(&places[i]); b.fits(&places[i]) && !slices.Contains(there, name) {
			there = append(there, name)
		}
	}
	switch {
	case len(there) == 0:
		return penstock.Errorf(penstock.Invalid, "this fleet is too small for --break %s: it has nothing of that kind", b.Kind)
	case b.Target == "":
		b.Target = there[random.IntN(len(there))]
	case !slices.Contains(there, b.Target):
		const shown = 12
		more := ""
		if len(there) > shown {
			more = fmt.Sprintf(" and %d more", len(there)-shown)
		}
		return penstock.Errorf(penstock.Invalid, "--break %s: there is no %q; there are %s%s", b.Kind, b.Target, strings.Join(there[:min(shown, len(there))], ", "), more)
	}
	return nil
}
