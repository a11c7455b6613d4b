package script

import (
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// A turn times the reports of others, and tells those on which the script ran from
// those that came while their controller rested.
func TestTurn(t *testing.T) {
	e, err := engine(`export function onReport(report) { if (report.controller === "bad") (function f() { return f() + 1 })() }`, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close() // nothing is under way
	ran, rested, all, err := turn(t.Context(), e, "bad")
	if err != nil || ran == 0 || rested != 0 || len(all) == 0 {
		t.Errorf("%d ran, %d did not, %d others, %v", ran, rested, len(all), err)
	}
	if ran, rested, all, err = turn(t.Context(), e, nobody); err != nil || ran != 0 || rested != 0 || len(all) == 0 {
		t.Errorf("%d ran, %d did not, %d others, %v", ran, rested, len(all), err)
	}
}
