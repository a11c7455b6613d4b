package pipeline

import "github.com/penstock/penstock/internal/tracing"

// trails returns those of the envelopes on the desk, nil for an envelope that nobody
// follows and nil when nobody follows any.
func (d *desk) trails() (trails []*tracing.Trail) {
	for i := range d.judged {
		w := d.passages[i]
		if w.trail == nil {
			continue
		}
		if trails == nil {
			trails = make([]*tracing.Trail, len(d.judged))
		}
		trails[i] = w.trail
		for k := range w.items {
			w.trail.Report(w.items[k].Report)
		}
	}
	return trails
}
