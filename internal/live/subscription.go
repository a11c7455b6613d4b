package live

import (
	"context"
	"sync"

	"github.com/penstock/penstock"
)

// MissedUnknown is told as the number of missed reports when nobody can know it:
// the gateway was started again since the reader's last event.
const MissedUnknown = -1

// batch bounds how many events are copied at once, and so how long a reader
// holds up a publisher.
const batch = 256

// Event is one settled report. The report must not be changed.
type Event struct {
	ID     ID
	Report *penstock.Report
}

// Subscription reads a feed. Next is called by one goroutine at a time; Close
// may be called by any.
type Subscription struct {
	feed   *Feed
	filter Filter
	next   uint64
	missed int
	skip   bool // what was lost before the first read is not known in number
	buf    [batch]Event

	once   sync.Once
	closed chan struct{}
}

// Next waits for events that the filter lets through and returns them in order,
// with the number of reports that were overwritten before the subscription
// could look at them, whatever their controller, since the last call. It returns
// at once with no event when some were missed. The slice is valid until the next call. The error is
// that of ctx, or has the code [penstock.Closed].
func (s *Subscription) Next(ctx context.Context) (events []Event, missed int, err error) {
	for {
		select {
		case <-s.closed:
			return nil, 0, penstock.Errorf(penstock.Closed, "the subscription was closed")
		default:
		}
		if s.feed.Paused() {
			return nil, 0, penstock.Errorf(penstock.Closed, "the gateway is short of memory and ends live streams")
		}
		n, next, lost, wake := s.feed.read(s.next, s.buf[:])
		s.next = next
		if !s.skip {
			s.missed += int(lost)
		}
		s.skip = false
		events = s.keep(s.buf[:n])
		if len(events) > 0 || s.missed != 0 {
			missed, s.missed = s.missed, 0
			return events, missed, nil
		}
		if n > 0 {
			continue
		}
		select {
		case <-wake:
		case <-s.closed:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

// keep moves the events that the filter lets through to the front.
func (s *Subscription) keep(events []Event) []Event {
	kept := events[:0]
	for _, e := range events {
		if s.filter.Matches(e.Report) {
			kept = append(kept, e)
		}
	}
	return kept
}

// Close ends the subscription and a call of Next that waits. It is legal twice.
func (s *Subscription) Close() { s.once.Do(func() { close(s.closed) }) }
