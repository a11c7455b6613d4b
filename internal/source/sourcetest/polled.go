package sourcetest

import (
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/testkit"
)

// Polled is a source that asks devices, under test. There is nobody to acknowledge
// to: what holds is that no reading is lost or made up while the node takes none.
type Polled struct {
	Subject // New, Garble and Decode are used
	// Value is what the device shows from now on, in the point that the source
	// reports. It returns when the source has read it.
	Value func(v uint64)
}

// RunPolled runs the part of the suite that holds for a source that polls.
func RunPolled(t *testing.T, subject func(t *testing.T) Polled) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(*testing.T, *stand, Polled)
	}{
		{"delivers in order what an outage kept out", polledOutage},
		{"goes on after a refusal", polledRefusal},
		{"reads on after a restart", polledRestart},
		{"names malformed input and goes on", polledGarbage},
		{"ends while reports are undecided", polledStop},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := subject(t)
			c.run(t, newStand(t, p.Subject), p)
		})
	}
}

// sees waits until the source has reported the value.
func (st *stand) sees(t *testing.T, v uint64) {
	t.Helper()
	testkit.Eventually(t, func() bool {
		for _, r := range st.desk.Accepted() {
			for _, s := range r.Samples {
				if s.Value == penstock.UintValue(v) {
					return true
				}
			}
		}
		return false
	}, "the value of the device")
}

// ordered fails when the readings do not stand in the order of their times, or one
// of them twice.
func (st *stand) ordered(t *testing.T) {
	t.Helper()
	last := int64(0)
	for _, r := range st.desk.Accepted() {
		if now := r.Samples[0].SourceTime; now <= last {
			t.Errorf("a reading of %d came after that of %d", now, last)
		} else {
			last = now
		}
	}
}

func polledOutage(t *testing.T, st *stand, p Polled) {
	p.Value(1)
	st.sees(t, 1)
	st.desk.Fail(penstock.RetryLater(penstock.Full, quiet, "no room"))
	p.Value(2)
	before := st.desk.Envelopes()
	testkit.Eventually(t, func() bool { return st.desk.Envelopes() > before+3 }, "attempts during the outage")
	p.Value(3)
	st.desk.Fail(nil)
	st.sees(t, 3)
	st.sees(t, 2) // it was seen during the outage only
	st.ordered(t)
}

func polledRefusal(t *testing.T, st *stand, p Polled) {
	p.Value(1)
	st.desk.Refuse(penstock.ReasonRange)
	before := st.desk.Envelopes()
	testkit.Eventually(t, func() bool { return st.desk.Envelopes() > before+2 }, "reports that are refused")
	st.desk.Refuse("")
	p.Value(2)
	st.sees(t, 2)
	st.ordered(t)
}

func polledRestart(t *testing.T, st *stand, p Polled) {
	p.Value(1)
	st.sees(t, 1)
	st.stop()
	st.start(t)
	p.Value(2)
	st.sees(t, 2)
	st.ordered(t)
}

func polledGarbage(t *testing.T, st *stand, p Polled) {
	if p.Garble == nil {
		t.Log("the protocol's library keeps malformed input away")
		return
	}
	p.Value(1)
	st.sees(t, 1)
	p.Garble(t)
	st.namesBadBytes(t)
	p.Value(2)
	st.sees(t, 2)
}

func polledStop(t *testing.T, st *stand, p Polled) {
	st.desk.Close()
	defer st.desk.Open()
	p.Value(1)
	testkit.Eventually(t, func() bool { return st.desk.Envelopes() > 0 }, "a report at the desk")
	st.stop()
}
