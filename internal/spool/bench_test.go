package spool_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/spool"
)

// benchDir is on a disk, not in memory, where there is a choice.
func benchDir(b *testing.B) string {
	b.Helper()
	base := os.Getenv("PENSTOCK_BENCH_DIR")
	if base == "" {
		return b.TempDir()
	}
	d, err := os.MkdirTemp(base, "spool")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(d) })
	return d
}

// BenchmarkAppend measures durable entries: so many submitters, each waiting for
// its last entry before it sends the next. To be read beside
// BenchmarkRaw of the same run, since disks drift.
func BenchmarkAppend(b *testing.B) {
	for _, bytes := range []int{100, 1000, 10000} {
		for _, submitters := range []int{1, 32, 1024} {
			b.Run(fmt.Sprintf("bytes=%d/submitters=%d", bytes, submitters), func(b *testing.B) {
				o := options(vfs.Default, newKeys(b))
				o.Dir, o.SegmentBytes = filepath.Join(benchDir(b), "spool"), 64<<20
				s, _, err := spool.Open(o)
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				b.SetBytes(int64(bytes))
				b.ResetTimer()
				var wg sync.WaitGroup
				for i := range submitters {
					n := b.N / submitters
					if i < b.N%submitters {
						n++
					}
					wg.Go(func() { submitMany(b, s, n, bytes) })
				}
				wg.Wait()
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
			})
		}
	}
}

func submitMany(b *testing.B, s *spool.Spool, n, bytes int) {
	entries := []spool.Entry{{Data: make([]byte, bytes), Digest: make([]byte, 16)}}
	done := make(chan error, 1)
	tell := func(_ penstock.Position, err error) { done <- err }
	for range n {
		err := s.Append(entries, tell)
		if err == nil {
			err = <-done
		}
		if err != nil {
			b.Error(err)
			return
		}
	}
}

// BenchmarkRaw is the ceiling: writes of so many bytes over zeros, each with its
// fdatasync.
func BenchmarkRaw(b *testing.B) {
	for _, bytes := range []int{512, 4096, 65536, 1 << 20} {
		b.Run(fmt.Sprintf("bytes=%d", bytes), func(b *testing.B) {
			path := filepath.Join(benchDir(b), "raw")
			const size = 64 << 20
			f, err := vfs.Default.Create(path, vfs.WriteCategoryUnspecified)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			if _, err := f.Write(make([]byte, size)); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, bytes)
			b.SetBytes(int64(bytes))
			b.ResetTimer()
			for i := range b.N {
				buf[0] = byte(i)
				if _, err := f.WriteAt(buf, int64(i*bytes%size)); err != nil {
					b.Fatal(err)
				}
				if err := f.SyncData(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "flushes/s")
		})
	}
}

// BenchmarkRead measures reading a log that is in the page cache.
func BenchmarkRead(b *testing.B) {
	o := options(vfs.Default, newKeys(b))
	o.Dir, o.SegmentBytes = filepath.Join(benchDir(b), "spool"), 64<<20
	s, _, err := spool.Open(o)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const calls, each, bytes = 200, 500, 200
	for range calls {
		var entries []spool.Entry
		for range each {
			entries = append(entries, spool.Entry{Data: make([]byte, bytes), Digest: make([]byte, 16)})
		}
		put(b, s, entries...)
	}
	b.SetBytes(calls * each * bytes)
	for b.Loop() {
		r := s.NewReader(0)
		n := 0
		for n < calls*each {
			recs, err := r.Next(1000)
			if err != nil {
				b.Fatal(err)
			}
			n += len(recs)
		}
		r.Close()
	}
}
