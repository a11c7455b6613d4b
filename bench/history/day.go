// Package history keeps a day of the demo's water network in the historian and weighs
// what that takes on disk.
package history

import (
	"context"
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

// A Day is what the historian makes of a day of the demo's water network.
type Day struct {
	Series  int
	Samples uint64
	Chunks  int
	Blocks  int64  // bytes of the chunks alone
	Seals   int64  // with keys and seals
	Disk    uint64 // all bytes
}

// Keep stores a day that is over, below a directory. Each controller reports after every
// interval, and its source times are rounded down to those that its clock has.
func Keep(ctx context.Context, directory string, every, clock time.Duration) (d Day, err error) {
	directory, err = os.MkdirTemp(directory, "history-")
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
	if err := settle(ctx, record, model, int64(clock)); err != nil {
		return d, err
	}
	if err := record.Flush(ctx); err != nil {
		return d, err
	}
	if err := record.Compact(ctx); err != nil {
		return d, err
	}
	return measure(record, kept)
}

// settle gives the record what the fleet sends in a day.
func settle(ctx context.Context, record *historian.Historian, model *sim.Model, clock int64) error {
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

func measure(record *historian.Historian, kept *store.Store) (d Day, err error) {
	err = kept.Scan(layout.Chunk.First(), layout.Chunk.End(), func(key, value []byte) error {
		const seal = 24 // numbers of the stream and the message, and the tag
		d.Chunks++
		d.Blocks += int64(len(value))
		d.Seals += int64(len(key) + len(value) + seal)
		return nil
	})
	if err != nil {
		return d, err
	}
	if err := kept.Compact(); err != nil {
		return d, err
	}
	stats := record.Stats()
	d.Series, d.Samples, d.Disk = stats.Series, stats.Samples, stats.DataBytes
	return d, nil
}
