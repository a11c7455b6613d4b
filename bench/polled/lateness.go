package polled

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sim"
)

// Lateness is how a gateway kept the scan class of the devices that live.
type Lateness struct {
	Living int // devices
	Slots  int // of them, in the time
	Stored int // slots with a value
	Missed int // slots without one
	Wrong  int // values that no device gave, gave for another slot, or that are there twice

	late []time.Duration // from a slot to the end of its answer, sorted
}

// Quantile returns the lateness below which the share q, 0 to 1, of all lie; 1 for
// the worst.
func (l *Lateness) Quantile(q float64) time.Duration {
	if len(l.late) == 0 {
		return 0
	}
	return l.late[min(int(q*float64(len(l.late))), len(l.late)-1)]
}

// Lateness reads back what a gateway stored for the slots from a time to another. No
// device may be polled meanwhile, or the last slots must have ended.
func (p *Plant) Lateness(ctx context.Context, r *sim.Reader, from, to time.Time) (*Lateness, error) {
	l := &Lateness{}
	slots := int(slotAt(to.Add(-1), p.o.Every).Sub(slotAt(from.Add(-1), p.o.Every)) / p.o.Every)
	for i, line := range p.lines {
		for k := range line.devices {
			d := &line.devices[k]
			stored := 0
			err := r.Samples(ctx, p.name(i, k), from.UnixNano(), func(s sim.Stored) error {
				if s.Point == "polls" && s.Status == penstock.Good && time.Unix(0, s.Time).Before(to) {
					stored++
					l.note(&s, d)
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
			if d.dead {
				continue
			}
			l.Living++
			l.Slots += slots
			l.Stored += stored
		}
	}
	l.Missed = l.Slots - l.Stored
	slices.Sort(l.late)
	return l, nil
}

// slotAt returns the last slot that is not after t.
func slotAt(t time.Time, every time.Duration) time.Time {
	return time.Unix(0, t.UnixNano()-t.UnixNano()%int64(every))
}

// note takes a stored value of a device.
func (l *Lateness) note(s *sim.Stored, d *device) {
	slot := time.Unix(0, s.Time)
	n, err := strconv.Atoi(string(s.Raw))
	if err != nil || n <= d.noted || n > len(d.answers) || d.answers[n-1].Before(slot) {
		l.Wrong++
		return
	}
	d.noted = n
	l.late = append(l.late, d.answers[n-1].Sub(slot))
}
