package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian"
	"github.com/penstock/penstock/internal/historian/layout"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/sim"
	"github.com/penstock/penstock/internal/store"
)

// stations is how many controllers the water network of the demo has.
const stations = 72

// dayKept is what the historian makes of a day of the demo's water network.
type dayKept struct {
	series  int
	samples uint64
	chunks  int
	blocks  int64 // bytes of the chunks alone
	seals   int64 // with keys and seals
	disk    uint64
}

// clocks are what the source times of a day are rounded down to: those of the demo
// are milliseconds, the time of a poll has seconds.
var clocks = []time.Duration{time.Millisecond, time.Second}

// history keeps a day of the water network and tells what it has on disk.
func (s settings) history(ctx context.Context) error {
	t := newTable("A day of the demo's water network in the historian, flushed and compacted",
		"a report every", "clock", "samples", "series", "chunks", "bytes a sample, blocks alone", "with keys and seals", "all on disk", "floor", "of the floor")
	const every = 10 * time.Second
	for _, clock := range clocks {
		d, err := s.keepDay(ctx, every, clock)
		if err != nil {
			return fmt.Errorf("a day in the historian: %w", err)
		}
		const floor = 3
		each := func(n float64) string { return fmt.Sprintf("%.2f", n/float64(d.samples)) }
		t.row(every.String(), clock.String(), number(float64(d.samples)), fmt.Sprint(d.series), fmt.Sprint(d.chunks), each(float64(d.blocks)), each(float64(d.seals)),
			each(float64(d.disk)), fmt.Sprint(floor), ratio(floor*float64(d.samples), float64(d.disk)))
	}
	t.print()
	return nil
}

// keepDay stores a day that is over.
func (s settings) keepDay(ctx context.Context, every, clock time.Duration) (d dayKept, err error) {
	directory, err := os.MkdirTemp(s.directory, "history-")
	if err != nil {
		return d, err
	}
	defer os.RemoveAll(directory) // what is left of it is nobody's
	keys, err := keyring.Open(vfs.Default, filepath.Join(directory, "keys"), nil)
	if err != nil {
		return d, err
	}
	kept, err := store.Open(store.Options{FS: vfs.Default, Dir: filepath.Join(directory, "store"), Keyring: keys})
	if err != nil {
		return d, err
	}
	defer kept.Close() // nothing in it is kept
	midnight := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	record, err := historian.Open(historian.Options{Store: kept, Now: func() time.Time { return midnight.AddDate(0, 0, 2) }})
	if err != nil {
		return d, err
	}
	defer record.Close() // it never fails
	model, err := sim.NewModel(sim.ModelOptions{Seed: 1, Controllers: stations, Start: midnight, Interval: every})
	if err != nil {
		return d, err
	}
	if err := settleDay(ctx, record, model, int64(clock)); err != nil {
		return d, err
	}
	if err := record.Flush(ctx); err != nil {
		return d, err
	}
	if err := record.Compact(ctx); err != nil {
		return d, err
	}
	return measureDay(record, kept)
}

// settleDay gives the record what the fleet sends in a day.
func settleDay(ctx context.Context, record *historian.Historian, model *sim.Model, clock int64) error {
	reports := make([]penstock.Report, model.Controllers())
	deliveries := make([]penstock.Delivery, model.Controllers())
	position := penstock.Position(0)
	last := uint64(24 * time.Hour / model.Interval())
	for seq := uint64(1); seq <= last; seq++ {
		for i := range reports {
			position++
			model.Report(&reports[i], i, seq)
			for k := range reports[i].Samples {
				at := &reports[i].Samples[k].SourceTime
				*at -= *at % clock
			}
			deliveries[i] = penstock.Delivery{Position: position, Report: &reports[i]}
		}
		if _, err := record.Settle(ctx, deliveries, position); err != nil {
			return err
		}
	}
	return nil
}

func measureDay(record *historian.Historian, kept *store.Store) (d dayKept, err error) {
	err = kept.Scan(layout.Chunk.First(), layout.Chunk.End(), func(key, value []byte) error {
		const seal = 24 // numbers of the stream and the message, and the tag
		d.chunks++
		d.blocks += int64(len(value))
		d.seals += int64(len(key) + len(value) + seal)
		return nil
	})
	if err != nil {
		return d, err
	}
	if err := kept.Compact(); err != nil {
		return d, err
	}
	stats := record.Stats()
	d.series, d.samples, d.disk = stats.Series, stats.Samples, stats.DataBytes
	return d, nil
}
