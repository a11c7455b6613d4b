package evidence

import (
	"bytes"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of a page.
// MaxFrame is how many bytes are kept of one bad frame.
const MaxFrame = 256

const (
	maxFrames   = 32  // bad frames kept
	maxReadings = 128 // kept of one quantity
)

// Page is what is known of one port or controller. It is safe for concurrent use.
type Page struct {
	name   string
	port   bool // not a controller's
	now    func() time.Time
	tell   func(Note) // nil for nobody
	kept   *budget
	counts [events]atomic.Uint64
	heard  atomic.Int64 // nanoseconds since 1970 of the last Received, 0 for never

	mu      sync.Mutex // guards everything below
	peer    string
	frames  []BadFrame // the oldest first
	signals map[Quantity][]Reading
}

// BadFrame is a frame or message that could not be used.
type BadFrame struct {
	Time  time.Time
	Event Event
	Why   string // a sentence for the operator
	Bytes []byte // the first of it
	Size  int    // bytes of all of it
}

// Reading is one value of a signal.
type Reading struct {
	Time  time.Time
	Value float64 // in the quantity's unit
}

// Summary is a page at one moment.
type Summary struct {
	Name    string
	Peer    string               // address of the sender where there is one, as last seen
	Heard   time.Time            // the last frame that was whole; zero for never
	Counts  map[Event]uint64     // those that are not zero
	Signals map[Quantity]Reading // the newest of each
}

// Name returns whose page it is.
func (p *Page) Name() string { return p.name }

// Count adds one to an event.
func (p *Page) Count(e Event) { p.Add(e, 1) }

// Add adds n to an event.
func (p *Page) Add(e Event, n uint64) {
	if n == 0 || int(e) >= events {
		return
	}
	p.add(e, n)
	p.told(Note{What: counted, Event: e, Count: n})
}

func (p *Page) add(e Event, n uint64) {
	p.counts[e].Add(n)
	if e == Received {
		p.heard.Store(p.now().UnixNano())
	}
}

// Bad counts an event and keeps the first bytes of the frame that was bad. The
// page does not keep frame itself.
func (p *Page) Bad(e Event, frame []byte, why string) {
	if int(e) >= events {
		return
	}
	kept := frame[:min(len(frame), MaxFrame)]
	p.bad(e, kept, len(frame), why)
	p.told(Note{What: spoiled, Event: e, Frame: kept, Size: len(frame), Text: why})
}

// bad keeps a copy of the first bytes of a frame of that size.
func (p *Page) bad(e Event, first []byte, size int, why string) {
	p.add(e, 1)
	kept := bytes.Clone(first)
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.frames) >= maxFrames {
		p.dropOldest()
	}
	for !p.kept.take(len(kept)) {
		if len(p.frames) == 0 {
			kept = nil // the book is full of others' frames: the reason at least stays
			break
		}
		p.dropOldest()
	}
	p.frames = append(p.frames, BadFrame{Time: p.now(), Event: e, Why: why, Bytes: kept, Size: size})
}

// dropOldest forgets the oldest bad frame. p.mu is held.
func (p *Page) dropOldest() {
	p.kept.give(len(p.frames[0].Bytes))
	p.frames = slices.Delete(p.frames, 0, 1)
}

// Peer notes where the controller speaks from.
func (p *Page) Peer(address string) {
	p.mu.Lock()
	p.peer = address
	p.mu.Unlock()
	p.told(Note{What: peered, Text: address})
}

// Signal notes a reading of a quantity. What is no finite number says nothing and
// is not noted.
func (p *Page) Signal(q Quantity, value float64) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return
	}
	p.signal(q, value)
	p.told(Note{What: signalled, Text: string(q), Value: value})
}

func (p *Page) signal(q Quantity, value float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.signals == nil {
		p.signals = map[Quantity][]Reading{}
	}
	readings := p.signals[q]
	if len(readings) >= maxReadings {
		readings = slices.Delete(readings, 0, 1)
	}
	p.signals[q] = append(readings, Reading{Time: p.now(), Value: value})
}

// Counted returns how often an event was counted.
func (p *Page) Counted(e Event) uint64 {
	if int(e) >= events {
		return 0
	}
	return p.counts[e].Load()
}

// BadFrames returns the bad frames that are kept, the oldest first.
func (p *Page) BadFrames() []BadFrame {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.frames)
}

// Newest returns the newest reading of a signal, false where there is none.
func (p *Page) Newest(q Quantity) (Reading, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	readings := p.signals[q]
	if len(readings) == 0 {
		return Reading{}, false
	}
	return readings[len(readings)-1], true
}

// Readings returns what is kept of a signal, the oldest first.
func (p *Page) Readings(q Quantity) []Reading {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.signals[q])
}

// Summary returns the page as it is now.
func (p *Page) Summary() Summary {
	s := Summary{Name: p.name, Counts: map[Event]uint64{}, Signals: map[Quantity]Reading{}}
	for e := range p.counts {
		if n := p.counts[e].Load(); n > 0 {
			s.Counts[Event(e)] = n
		}
	}
	if t := p.heard.Load(); t > 0 {
		s.Heard = time.Unix(0, t).UTC()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Peer = p.peer
	for q, readings := range p.signals {
		s.Signals[q] = readings[len(readings)-1]
	}
	return s
}
