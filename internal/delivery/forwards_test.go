package delivery_test

import (
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/sink/sinktest"
	"github.com/penstock/penstock/internal/testkit"
)

// A sink that hands reports on gets them as they were accepted, however late, and what
// was refused or filtered as empty reports. Others get neither.
func TestASinkThatForwards(t *testing.T) {
	n, d, other := newNode(t), sinktest.NewDestination(), sinktest.NewDestination()
	n.options.LiveAfter = 100 * time.Millisecond
	mend := d.Break()
	spec := to("centre", d)
	spec.Forwards = true
	n.open(spec, to("broker", other))
	n.send(3)
	for i, id := range []penstock.Identity{penstock.SequenceIdentity(1, 4), penstock.SequenceIdentity(1, 5), penstock.KeyIdentity("k"), {}} {
		r := &penstock.Report{Controller: "pump-1", Identity: id, Samples: []penstock.Sample{{Point: "flow", Value: penstock.IntValue(1)}}}
		item := intake.Item{Report: r, Filter: true}
		if i == 0 {
			item = intake.Item{Report: r, Reason: penstock.ReasonRange, Trusted: true}
		}
		_, err := n.intake.Admit([]intake.Judged{{Reports: []intake.Item{item}}}).Wait(t.Context())
		n.must(err)
	}
	n.sent = 5
	n.send(1)
	testkit.Eventually(t, func() bool { return n.status("centre").Backlog.Age > 200*time.Millisecond }, "the backlog is late")
	mend()
	arrived(t, d, 1, 6)
	for _, r := range d.Received() {
		if empty := r.Identity.Seq == 4 || r.Identity.Seq == 5; empty != (len(r.Samples) == 0) {
			t.Errorf("report %d came with %d samples", r.Identity.Seq, len(r.Samples))
		}
		for _, s := range r.Samples {
			if s.Flags != 0 {
				t.Errorf("report %d has the flags %d", r.Identity.Seq, s.Flags)
			}
		}
	}
	testkit.Eventually(t, func() bool { return len(other.Received()) >= 4 }, "the broker has the reports")
	if got := len(d.Received()) + len(other.Received()); got != 6+4 {
		t.Errorf("%d reports arrived", got)
	}
}
