package app

import (
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/views"
	"github.com/penstock/penstock/internal/historian"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/sinktest"
	"github.com/penstock/penstock/internal/store"
)

// disk is a historian on a disk in memory, which a new process opens anew.
type disk struct {
	fs    vfs.FS
	keys  *keyring.Keyring
	store *store.Store
	*historian.Historian
}

func (d *disk) open(t testing.TB) {
	d.close(t)
	var err error
	if d.keys, err = keyring.Open(d.fs, "keys", nil); err == nil {
		d.store, err = store.Open(store.Options{FS: d.fs, Dir: "store", Keyring: d.keys})
	}
	if err == nil {
		d.Historian, err = historian.Open(historian.Options{Store: d.store, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (d *disk) close(t testing.TB) {
	if d.store == nil {
		return
	}
	if err := d.Historian.Close(); err != nil {
		t.Error(err)
	}
	if err := d.store.Close(); err != nil {
		t.Error(err)
	}
	d.store = nil
}

// stored reads all samples back.
func (d *disk) stored(t testing.TB) (all []sinktest.Sample) {
	for _, s := range d.Series(historian.Selector{Scope: penstock.Scope{"*"}}) {
		for sample, err := range d.Samples(t.Context(), s.ID, math.MinInt64, math.MaxInt64) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, sinktest.Sample{Controller: s.Controller, Sample: sample})
		}
	}
	return all
}

// opened is a record whose closing is that of its process.
type opened struct {
	views.Record
	disk *disk
	t    testing.TB
}

func (o opened) Close() error {
	o.disk.close(o.t)
	return nil
}

func TestTheHistorianIsARecord(t *testing.T) {
	sinktest.RunRecord(t, func(testing.TB) sinktest.RecordBench {
		d := &disk{fs: vfs.NewMem()}
		unit := func(seq uint64, unit string) *penstock.Report {
			return &penstock.Report{
				Controller: "bad", Identity: penstock.SequenceIdentity(1, seq),
				Samples: []penstock.Sample{{Point: "p", SourceTime: 1, Unit: unit}, {Point: "p", SourceTime: 2, Unit: unit + "2"}},
			}
		}
		return sinktest.RecordBench{
			Open: func(t testing.TB, _ func() sink.Node) penstock.Record {
				d.open(t)
				return opened{views.Record{Historian: d.Historian}, d, t}
			},
			Stored: func(t testing.TB) []sinktest.Sample { return d.stored(t) },
			Bad:    []*penstock.Report{unit(1, "m"), unit(2, "s")},
			Alone:  true, InOrder: true,
		}
	})
}
