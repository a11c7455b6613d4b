package script

import (
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// A turn times the reports of others, and counts those of the one beside them.
func TestTurn(t *testing.T) {
	e, err := engine(`export function onReport(report) { if (report.controller === "bad") throw 1 }`, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()                     // nothing is under way
	testkit.Eventually(t, func() bool { // a busy machine may run none in a turn
		ran, rested, all, err := turn(t.Context(), e, "bad")
		if err != nil || rested != 0 || len(all) == 0 {
			t.Errorf("%d ran, %d did not, %d others, %v", ran, rested, len(all), err)
		}
		return ran > 0
	}, "a report of the other to run")
	if ran, rested, all, err := turn(t.Context(), e, nobody); err != nil || ran != 0 || rested != 0 || len(all) == 0 {
		t.Errorf("%d ran, %d did not, %d others, %v", ran, rested, len(all), err)
	}
}
