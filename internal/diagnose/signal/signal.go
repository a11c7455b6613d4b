// Package signal judges what the link of a controller tells of itself: what its signals
// are, what they usually are, and what they have to be.
package signal

import (
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
)

// Quantities are the signals that are judged. Each is known by its place here.
//
//lint:table
var Quantities = [...]evidence.Quantity{evidence.RSSI, evidence.SNR, evidence.OpticalPower, evidence.Attenuation}

// sense is -1 for a quantity that is better when it is lower.
func sense(q int) float64 {
	if Quantities[q] == evidence.Attenuation {
		return -1
	}
	return 1
}

// Limits are what the link of a controller needs.
type Limits struct {
	Type   string                   // of the link, empty for none
	Drop   float64                  // dB below what is usual that count as weak
	Margin [len(Quantities)]float64 // the worst that is good enough
}

// LimitsOf returns the limits of the first type that matches the controller.
func LimitsOf(types []LinkType, controller string) Limits {
	l := Limits{Drop: 6, Margin: [...]float64{-100, 9, -28, 30}}
	for i := range types {
		t := &types[i]
		if !penstock.Scope(t.Controllers).Covers(controller) {
			continue
		}
		l.Type = t.Type
		for _, set := range []struct {
			from *float64
			to   *float64
		}{{t.Drop, &l.Drop}, {t.RSSI, &l.Margin[0]}, {t.SNR, &l.Margin[1]}, {t.OpticalPower, &l.Margin[2]}, {t.Attenuation, &l.Margin[3]}} {
			if set.from != nil {
				*set.to = *set.from
			}
		}
		break
	}
	return l
}

// Margin is the worst value of a signal that is good enough.
type Margin struct {
	Quantity evidence.Quantity
	Limit    float64
	Most     bool // the limit is the most that is good, and not the least
}

// Margins returns the margins in the order of the quantities.
func (l *Limits) Margins() (margins []Margin) {
	for q, quantity := range Quantities {
		margins = append(margins, Margin{quantity, l.Margin[q], sense(q) < 0})
	}
	return margins
}

// Link is what the link of a controller told. The zero Link told nothing and needs
// limits.
type Link struct {
	Limits
	base [len(Quantities)]baseline
	told [len(Quantities)]told
}

// told is the newest value of a signal and when it was told; that is 0 for never.
type told struct {
	value float32
	at    int64
}

// Tell takes in a new value of a signal.
func (l *Link) Tell(q int, r evidence.Reading) {
	l.told[q] = told{float32(r.Value), r.Time.UnixNano()}
	weak := l.base[q].known() && (float64(l.base[q].level)-r.Value)*sense(q) >= l.Drop/2
	l.base[q].learn(r.Value, weak)
}

// Newest returns the newest value of a signal and when it was told, in nanoseconds
// since 1970 UTC; that is 0 for never.
func (l *Link) Newest(q int) (value float32, at int64) { return l.told[q].value, l.told[q].at }

// Usual returns what a signal usually is, and false while that is not known.
func (l *Link) Usual(q int) (level float64, known bool) {
	return float64(l.base[q].level), l.base[q].known()
}

// Grade is what a value of a signal is worth.
type Grade struct {
	Drop  float64 // dB below what is usual, 0 while that is not known
	Short float64 // dB below the margin, negative above it
}

// Grade returns what a value of a signal is worth.
func (l *Link) Grade(q int, value float32) Grade {
	g := Grade{Short: (l.Margin[q] - float64(value)) * sense(q)}
	if l.base[q].known() {
		g.Drop = float64(l.base[q].level-value) * sense(q)
	}
	return g
}
