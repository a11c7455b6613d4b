package flow

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Part is a part of the way of a report.
type Part string

// The parts.
const (
	Acknowledgement Part = "acknowledgement" // a sender waits for it
	Delivery        Part = "delivery"        // behind the spool, on the way to the record
	Aside           Part = "aside"           // work whose stall concerns nobody else
)

// The limits of how long one thing may be under way in a stage before the stage is
// taken to stand still. Errors are not stalls: what fails returns.
const (
	acknowledgementLimit = 10 * time.Second
	deliveryLimit        = 2 * time.Minute
	asideLimit           = 5 * time.Minute
)

func (p Part) limit() time.Duration {
	switch p {
	case Acknowledgement:
		return acknowledgementLimit
	case Delivery:
		return deliveryLimit
	}
	return asideLimit
}

// Options are the clock and the limits of a [Book].
type Options struct {
	Now   func() time.Time         // nil means time.Now
	Limit func(Part) time.Duration // nil means 10 s, 2 min and 5 min
}

// Book holds the stages of a gateway. It is safe for concurrent use. A nil *Book
// has stages and slots that forget.
type Book struct {
	opt   Options
	began time.Time

	mu      sync.Mutex // guards what follows; not taken when a stage is told something
	stages  []*Stage
	slots   map[*Slot]struct{}
	history []moment // the oldest first
}

// maxStages is what fits into a slot's word.
const maxStages = 1 << stageBits

// Stage is one stage. Its methods are cheap and safe for concurrent use.
type Stage struct {
	name  string
	part  Part
	index int64
	limit time.Duration
	frame string // part of the names of the functions that do its work

	took    histogram
	nanos   atomic.Uint64
	reports atomic.Uint64
}

// New returns a book without stages.
func New(o Options) *Book {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Limit == nil {
		o.Limit = Part.limit
	}
	return &Book{opt: o, began: o.Now(), slots: map[*Slot]struct{}{}}
}

// Stage returns the stage of that name, made when it is new; nil beyond 254. Frame
// is a part of the name of the functions that do its work, as stacks show it, or
// several with "|" between, the surest first.
func (b *Book) Stage(name string, part Part, frame string) *Stage {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.stages {
		if s.name == name {
			s.frame = cmp.Or(s.frame, frame)
			return s
		}
	}
	if len(b.stages) >= maxStages-2 {
		return nil
	}
	s := &Stage{name: name, part: part, frame: frame, index: int64(len(b.stages)) + 1, limit: b.opt.Limit(part)}
	b.stages = append(b.stages, s)
	return s
}

// Name returns the stage's name.
func (s *Stage) Name() string { return s.name }

// Step returns what books the work of a step of the pipeline, by the step's name.
func (b *Book) Step(name string) func(d time.Duration, n int) {
	return b.Stage(name, Acknowledgement, "").Took
}

// Took books one piece of work: how long it took, and for how many reports or
// envelopes.
func (s *Stage) Took(d time.Duration, n int) {
	if s == nil {
		return
	}
	s.took[class(d)].Add(1)
	s.nanos.Add(uint64(max(d, 0)))
	s.reports.Add(uint64(n))
}

// Slot says in which stage somebody is, and since when. It belongs to one worker at
// a time, and anybody may look.
type Slot struct {
	began time.Time
	word  atomic.Int64 // microseconds since began, and the stage's index in the low bits; 0 for none
}

const stageBits = 8

// Slot returns a slot for a worker that lives as long as the book.
func (b *Book) Slot() *Slot {
	if b == nil {
		return nil
	}
	s := &Slot{began: b.began}
	b.mu.Lock()
	b.slots[s] = struct{}{}
	b.mu.Unlock()
	return s
}

// SlotOf returns a slot that is forgotten once its owner cannot be reached any
// more: for workers that nobody tells of their end.
func SlotOf[T any](b *Book, owner *T) *Slot {
	s := b.Slot()
	if s != nil {
		runtime.AddCleanup(owner, b.forget, s)
	}
	return s
}

func (b *Book) forget(s *Slot) {
	b.mu.Lock()
	delete(b.slots, s)
	b.mu.Unlock()
}

// Enter says that the worker is in the stage from now on.
func (s *Slot) Enter(at *Stage, now time.Time) {
	if s != nil && at != nil {
		s.word.Store(max(now.Sub(s.began).Microseconds(), 0)<<stageBits | at.index)
	}
}

// Leave says that the worker is in no stage.
func (s *Slot) Leave() {
	if s != nil {
		s.word.Store(0)
	}
}

// Work is something under way.
type Work struct {
	Stage *Stage
	Since time.Time
	Age   time.Duration

	word int64
	slot *Slot
}

// underWay returns what is under way, the oldest first.
func (b *Book) underWay(now time.Time) []Work {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []Work
	for s := range b.slots {
		word := s.word.Load()
		index := int(word & (maxStages - 1))
		if index == 0 || index > len(b.stages) {
			continue
		}
		since := b.began.Add(time.Duration(word>>stageBits) * time.Microsecond)
		all = append(all, Work{Stage: b.stages[index-1], Since: since, Age: max(now.Sub(since), 0), word: word, slot: s})
	}
	slices.SortFunc(all, func(a, b Work) int { return a.Since.Compare(b.Since) })
	return all
}

// Late returns what is under way for longer than its stage may take, the oldest
// first.
func (b *Book) Late(now time.Time) []Work {
	return slices.DeleteFunc(b.underWay(now), func(w Work) bool { return w.Age <= w.Stage.limit })
}

// Same tells whether both are one piece of work.
func (w Work) Same(o Work) bool { return w.slot == o.slot && w.word == o.word }

// Still tells whether the work is under way as it was.
func (w Work) Still() bool { return w.slot.word.Load() == w.word }

// Part returns the part of the way that the stage stands in.
func (s *Stage) Part() Part { return s.part }

// Frame returns a part of the name of the functions that do the stage's work.
func (s *Stage) Frame() string { return s.frame }
