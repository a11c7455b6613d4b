package main

import (
	"testing"
	"time"

	"github.com/penstock/penstock/internal/sim"
)

// A day in the historian has every sample of the day once.
func TestDayInTheHistorian(t *testing.T) {
	const every = 30 * time.Minute
	d, err := (settings{directory: t.TempDir()}).keepDay(t.Context(), every, time.Millisecond)
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
	if d.series != points || d.samples != uint64(points*48) {
		t.Errorf("%d series and %d samples, want %d and %d", d.series, d.samples, points, points*48)
	}
	if d.chunks < points || d.blocks == 0 || d.seals <= d.blocks || d.disk < uint64(d.seals) {
		t.Errorf("%d chunks of %d series have %d bytes, %d with keys and seals, %d on disk", d.chunks, d.series, d.blocks, d.seals, d.disk)
	}
}
