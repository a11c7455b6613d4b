package delivery_test

import (
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/sinktest"
	"github.com/penstock/penstock/internal/testkit"
)

// TestABacklogHasItsTurns has a new report come each time that one is delivered, as in a
// fleet that never rests. They go first, and the backlog must not wait for a moment in
// which there are none.
func TestABacklogHasItsTurns(t *testing.T) {
	const load = 257 // reports of a load whose samples would be fewer: they are read in blocks
	const loads, most = 12, 400
	const backlog = loads * load
	n, d := newNode(t), sinktest.NewDestination()
	n.options.LiveAfter = 300 * time.Millisecond
	d.Refuse(func(r *penstock.Report) error {
		switch {
		case r.Controller == "pump-1" && r.Identity.Seq == 1:
			n.sendAs("pump-2", 1)
		case r.Controller == "pump-2" && r.Identity.Seq < most:
			n.sendAs("pump-2", r.Identity.Seq+1)
		}
		return nil
	})
	mend := d.Break()
	spec := to("broker", d)
	spec.Settings.Batch = 8
	n.open(spec)
	n.send(backlog)
	testkit.Eventually(t, func() bool { return n.status("broker").Backlog.Age > 400*time.Millisecond }, "the backlog is late")
	n.must(n.set.Pause("broker"))
	mend()
	n.must(n.set.Resume("broker"))
	arrived(t, d, 1, backlog)
	fresh := 0
	for _, r := range d.Received() {
		if r.Controller == "pump-2" {
			fresh++
		} else if r.Identity.Seq == backlog {
			break
		}
	}
	if fresh < loads/2 || fresh > 2*loads {
		t.Errorf("%d new reports were delivered before %d loads of the backlog", fresh, loads)
	}
}
