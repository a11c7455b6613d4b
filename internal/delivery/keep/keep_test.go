package keep_test

import (
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/delivery/keep"
)

func TestTheSpoolIsKeptForAWhile(t *testing.T) {
	k, at := keep.New(time.Hour), time.Unix(0, 0)
	for minute := range 59 {
		if floor := k.Floor(at.Add(time.Duration(minute)*time.Minute), penstock.Position(10*minute)); floor != 0 {
			t.Fatalf("after %d minutes the spool may go up to %d", minute, floor)
		}
	}
	if floor := k.Floor(at.Add(70*time.Minute), 5000); floor != 100 {
		t.Errorf("after 70 minutes the spool may go up to %d, not to where it was after 10", floor)
	}
	if floor := keep.New(0).Floor(at, 7); floor < 1<<40 {
		t.Errorf("without a time to keep the spool may go up to %d only", floor)
	}
}
