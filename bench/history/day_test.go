package history

import (
	"testing"
	"time"

	"github.com/penstock/penstock/internal/sim"
)

// A day in the historian has every sample of the day once.
func TestDayInTheHistorian(t *testing.T) {
	const every = 30 * time.Minute
	d, err := Keep(t.Context(), t.TempDir(), every, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	model, err := sim.NewModel(sim.ModelOptions{Seed: 1, Controllers: stations, Start: time.Unix(0, 0), Interval: every})
	if err != nil {
		t.Fatal(err)
	}
	points := 0
	for i := range model.Controllers() {
		points += model.Points(i)
	}
	if d.Series != points || d.Samples != uint64(points*48) {
		t.Errorf("%d series and %d samples, want %d and %d", d.Series, d.Samples, points, points*48)
	}
	if d.Chunks < points || d.Blocks == 0 || d.Seals <= d.Blocks || d.Disk < uint64(d.Seals) {
		t.Errorf("%d chunks of %d series have %d bytes, %d with keys and seals, %d on disk", d.Chunks, d.Series, d.Blocks, d.Seals, d.Disk)
	}
}
