package historian

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/books"
	"github.com/penstock/penstock/internal/historian/chunk"
	"github.com/penstock/penstock/internal/historian/compact"
	"github.com/penstock/penstock/internal/historian/head"
	"github.com/penstock/penstock/internal/historian/layout"
	"github.com/penstock/penstock/internal/historian/settled"
	"github.com/penstock/penstock/internal/historian/wake"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/store"
)

// Options is what a historian needs.
type Options struct {
	Store     *store.Store
	Log       *slog.Logger     // nil for none
	Now       func() time.Time // nil for the system's clock
	HeadBytes int              // head in memory that starts a flush, 0 for 24 MiB
	HeadAge   time.Duration    // age of the head that starts a flush, 0 for 1 h
	MaxSeries int              // limit of series, 0 for 1,000,000
	MaxSets   int              // settled sets in memory that are also on disk, 0 for 50,000
}

// Historian is the embedded record. It is safe for concurrent use.
//
// Locks are taken in the order in which they stand here.
type Historian struct {
	o       Options
	decoder *chunk.Decoder
	parts   sync.Pool // of *part

	maintenance sync.Mutex // one flush, compaction step or deletion at a time
	encoder     *chunk.Encoder
	compactor   *compact.Compactor

	settling sync.Mutex // one Settle at a time; held for short by a flush that begins
	settler  settler

	mu        sync.RWMutex // what queries see
	catalogue catalogue
	head      heads
	through   penstock.Position
	horizon   layout.Day // days before it are deleted

	changed wake.All // through or head changed, or it was closed
	kick    chan struct{}
	stop    context.CancelFunc
	owned   sync.WaitGroup
}

// heads is the samples that are in no chunk yet. The controllers have the rows
// that came since the last flush began.
type heads struct {
	bytes   int
	crowded bool      // a controller has as many samples as it may have
	since   time.Time // when the first row came
	frozen  map[uint32]head.Log
	flushed uint64 // the last flush that is done
}

// maxControllerSamples bounds what one controller has in the head, because a
// flush unpacks it.
const maxControllerSamples = 1 << 19

// Open opens the historian in o.Store, and brings back the head from what was
// settled since the last flush. The store stays its owner's to close.
func Open(o Options) (*Historian, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.HeadBytes == 0 {
		o.HeadBytes = 24 << 20
	}
	if o.HeadAge == 0 {
		o.HeadAge = time.Hour
	}
	if o.MaxSeries == 0 {
		o.MaxSeries = 1_000_000
	}
	if o.MaxSets == 0 {
		o.MaxSets = 50_000
	}
	encoder, err := chunk.NewEncoder()
	if err != nil {
		return nil, err
	}
	decoder, err := chunk.NewDecoder()
	if err != nil {
		return nil, err
	}
	h := &Historian{o: o, encoder: encoder, decoder: decoder, kick: make(chan struct{}, 1)}
	h.compactor = compact.New(compact.Options{Store: o.Store, Encoder: encoder, Decoder: decoder, Log: o.Log})
	h.settler.init(h)
	if err := (recovery{h}).run(); err != nil {
		decoder.Close()
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	h.owned.Go(func() { h.maintain(ctx) })
	return h, nil
}

// Close ends the historian's own work. It does not flush: what is settled is
// durable. It is legal twice. Queries must have ended.
func (h *Historian) Close() error {
	h.stop()
	h.owned.Wait()
	h.settling.Lock()
	defer h.settling.Unlock()
	if !h.settler.closed {
		h.settler.closed = true
		h.decoder.Close()
		h.changed.Tell()
	}
	return nil
}

// Through returns the last position that is settled.
func (h *Historian) Through() penstock.Position {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.through
}

// Wait returns when everything up to the position is settled. Its error is that
// of ctx, or says that the store is dead or the historian closed.
func (h *Historian) Wait(ctx context.Context, p penstock.Position) error {
	return h.until(ctx, func() bool { return h.through >= p })
}

// until waits for a condition on what mu guards.
func (h *Historian) until(ctx context.Context, done func() bool) error {
	return h.changed.Until(ctx, func() (bool, error) {
		h.mu.RLock()
		ok := done()
		h.mu.RUnlock()
		if ok {
			return true, nil
		}
		return false, h.usable()
	})
}

// usable tells why nothing can be settled any more, nil when it can.
func (h *Historian) usable() error {
	if err := h.o.Store.Dead(); err != nil {
		return err
	}
	h.settling.Lock()
	defer h.settling.Unlock()
	return h.settler.usable()
}

// Day is a day in UTC, counted from 1970-01-01.
type Day = layout.Day

// DayOf returns the day of a time in nanoseconds since 1970 UTC.
func DayOf(t int64) Day { return layout.DayOf(t) }

// Counters are the books of one controller.
type Counters = books.Counters

// Counters yields the books of every controller; those of input that names no
// controller stand under "". They are as of the last Settle.
func (h *Historian) Counters(yield func(controller string, c Counters) bool) {
	type book struct {
		name string
		c    Counters
	}
	var books []book
	h.mu.RLock()
	for _, c := range h.catalogue.byNumber {
		books = append(books, book{c.name, c.counters})
	}
	h.mu.RUnlock()
	for _, b := range books {
		if !yield(b.name, b.c) {
			return
		}
	}
}

// Settled yields the settled set of every controller and epoch. The sets are the
// caller's. It holds up Settle until it ends.
func (h *Historian) Settled(yield func(controller string, epoch uint64, set *interval.Set) bool) error {
	h.settling.Lock()
	defer h.settling.Unlock()
	return h.settler.sets.All(h.o.Store, func(k settled.Key, set *interval.Set) bool {
		return yield(h.catalogue.byNumber[k.Controller].name, k.Epoch, set)
	})
}

// Stats is the size of the historian.
type Stats struct {
	Controllers int
	Series      int
	Samples     uint64 // ever stored
	Conflicts   uint64
	HeadBytes   int    // rows in memory
	DataBytes   uint64 // on disk, of the whole store; 0 when it is dead
	DiskBytes   uint64 // with its log and what is about to be deleted
}

// Stats returns the size of the historian.
func (h *Historian) Stats() Stats {
	s := Stats{}
	if size, err := h.o.Store.Size(); err == nil {
		s.DataBytes, s.DiskBytes = size.Tables, size.Total
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	s.Controllers, s.Series, s.HeadBytes = len(h.catalogue.byNumber), h.catalogue.series, h.head.bytes
	for _, c := range h.catalogue.byNumber {
		s.Samples += c.counters.Samples
		s.Conflicts += c.counters.Conflicts
	}
	return s
}
