package live

import (
	"sync"
	"time"

	"github.com/penstock/penstock"
)

// The limits of a feed that has no others.
const (
	DefaultReports = 16 << 10
	DefaultSamples = 64 << 10
)

// Options are the limits and the clock of a [Feed].
type Options struct {
	Reports int              // reports kept; 0 means [DefaultReports]
	Samples int              // samples kept, in all reports together; 0 means [DefaultSamples]
	Now     func() time.Time // tells the runs of a gateway apart
}

// Feed keeps the newest settled reports. It is safe for concurrent use.
type Feed struct {
	run        uint64
	maxSamples int

	mu      sync.Mutex // guards everything below
	ring    []*penstock.Report
	last    uint64 // the seq of the newest event, 0 when there was none
	kept    int    // how many events are kept: last-kept+1 … last
	samples int    // of the kept reports
	waiting int
	wake    chan struct{} // closed when an event comes, if anybody waits
	paused  bool          // subscriptions end
}

// New returns an empty feed.
func New(o Options) *Feed {
	if o.Reports <= 0 {
		o.Reports = DefaultReports
	}
	if o.Samples <= 0 {
		o.Samples = DefaultSamples
	}
	return &Feed{
		run:        uint64(o.Now().UnixNano()),
		maxSamples: o.Samples,
		ring:       make([]*penstock.Report, o.Reports),
		wake:       make(chan struct{}),
	}
}

// Publish appends the reports. It never waits for a reader. The feed keeps the
// reports: nobody may change them afterwards.
func (f *Feed) Publish(rs []*penstock.Report) {
	if len(rs) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range rs {
		f.append(r)
	}
	if f.waiting > 0 {
		close(f.wake)
		f.wake = make(chan struct{})
		f.waiting = 0
	}
}

// append makes room first, so that the newest report is always kept, however
// large it is.
func (f *Feed) append(r *penstock.Report) {
	for f.kept > 0 && (f.kept == len(f.ring) || f.samples+len(r.Samples) > f.maxSamples) {
		oldest := f.slot(f.last - uint64(f.kept) + 1)
		f.samples -= len((*oldest).Samples)
		*oldest = nil
		f.kept--
	}
	f.last++
	*f.slot(f.last) = r
	f.kept++
	f.samples += len(r.Samples)
}

func (f *Feed) slot(seq uint64) **penstock.Report {
	return &f.ring[seq%uint64(len(f.ring))]
}

// Empty lets go of the kept reports: who has not read them yet is told how many
// were missed.
func (f *Feed) Empty() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.ring)
	f.kept, f.samples = 0, 0
}

// Pause ends all subscriptions, with code [penstock.Closed], and those that begin
// until it is called with false.
func (f *Feed) Pause(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.paused = on
	close(f.wake)
	f.wake = make(chan struct{})
	f.waiting = 0
}

// Paused tells whether live streams are done without just now.
func (f *Feed) Paused() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.paused
}

// Subscribe returns a subscription to what is published from now on.
func (f *Feed) Subscribe(filter Filter) *Subscription {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &Subscription{feed: f, filter: filter, next: f.last + 1, closed: make(chan struct{})}
}

// SubscribeAfter returns a subscription that goes on after the event that a
// reader saw last. What the feed no longer has is told as missed; it is
// [MissedUnknown] when the event is of another run of the gateway.
func (f *Feed) SubscribeAfter(filter Filter, after ID) *Subscription {
	s := f.Subscribe(filter)
	switch {
	case after.Run != f.run:
		s.missed = MissedUnknown
		s.next = 1
		s.skip = true
	case after.Seq < s.next:
		s.next = after.Seq + 1
	}
	return s
}

// read copies up to len(dst) events from next on. It returns how many, the seq
// to go on with, how many were lost before, and a channel to wait on when there
// are none.
func (f *Feed) read(next uint64, dst []Event) (n int, after, lost uint64, wake <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if oldest := f.last - uint64(f.kept) + 1; next < oldest {
		lost = oldest - next
		next = oldest
	}
	for n < len(dst) && next <= f.last {
		dst[n] = Event{ID: ID{Run: f.run, Seq: next}, Report: *f.slot(next)}
		n++
		next++
	}
	if n == 0 {
		f.waiting++
		wake = f.wake
	}
	return n, next, lost, wake
}
