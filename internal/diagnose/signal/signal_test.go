package signal_test

import (
	"slices"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/diagnose/signal"
	"github.com/penstock/penstock/internal/evidence"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func at(q evidence.Quantity) int { return slices.Index(signal.Quantities[:], q) }

// A value is held against what is usual and against the margin, in dB for the worse,
// also where less is better.
func TestGrade(t *testing.T) {
	for quantity, test := range map[evidence.Quantity]struct {
		usual, now float64
		want       signal.Grade
	}{
		evidence.RSSI:        {-70, -90, signal.Grade{Drop: 20, Short: -10}},
		evidence.SNR:         {20, 5, signal.Grade{Drop: 15, Short: 4}},
		evidence.Attenuation: {10, 35, signal.Grade{Drop: 25, Short: 5}},
	} {
		q, link := at(quantity), signal.Link{Limits: signal.LimitsOf(nil, "pump-1")}
		if got := link.Grade(q, float32(test.now)); got.Drop != 0 {
			t.Errorf("%s: %+v, and nothing is usual yet", quantity, got)
		}
		for i := range 20 {
			link.Tell(q, evidence.Reading{Time: noon.Add(time.Duration(i) * time.Minute), Value: test.usual})
		}
		if usual, known := link.Usual(q); !known || usual != test.usual {
			t.Errorf("%s is usually %v, known %v", quantity, usual, known)
		}
		if got := link.Grade(q, float32(test.now)); got != test.want {
			t.Errorf("%s: %+v, want %+v", quantity, got, test.want)
		}
		if value, when := link.Newest(q); float64(value) != test.usual || when != noon.Add(19*time.Minute).UnixNano() {
			t.Errorf("%s was %v at %d", quantity, value, when)
		}
	}
}

// A signal that fades, and stays so, does not become the usual one.
func TestAFadeIsNeverUsual(t *testing.T) {
	q, link := at(evidence.RSSI), signal.Link{Limits: signal.LimitsOf(nil, "pump-1")}
	for i := range 1000 {
		value := -70.0
		if i >= 20 {
			value = -80
		}
		link.Tell(q, evidence.Reading{Time: noon.Add(time.Duration(i) * time.Minute), Value: value})
	}
	if usual, _ := link.Usual(q); usual != -70 {
		t.Errorf("it is usually %v", usual)
	}
}
