package stall

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/flow"
)

// Status is told whether all stages of a part move.
type Status interface {
	OK()
	Failing(why string)
}

// Options are what a [Detector] works with. Keep and Status may be nil.
type Options struct {
	Book  *flow.Book
	Every time.Duration // between two looks; a second when 0
	Log   *slog.Logger
	Now   func() time.Time
	// Status are told of the stages of their part.
	Status map[flow.Part]Status
	// Keep keeps a file with all stacks, and returns where.
	Keep func(name string, stacks []byte) (path string, err error)
}

// Detector looks at what is under way again and again.
type Detector struct {
	opt     Options
	looked  atomic.Int64  // when it looked last, in nanoseconds since it was made
	made    time.Time     // with the monotonic clock
	stalled atomic.Uint32 // parts, as bits, that stand still and need a restart

	mu    sync.Mutex
	found []Stall // what stands still
}

// Stall is one stage that stands still.
type Stall struct {
	Stage     string
	Part      flow.Part
	Since     time.Time
	Goroutine string // its number, state and the functions it is in; empty when it was not found
	Stacks    string // file with all stacks; empty when there is none

	work flow.Work
}

// Looks that a detector may miss before it is itself taken to stand still.
const missedLooks = 10

// New returns a detector that looks when it runs.
func New(o Options) *Detector {
	o.Every = cmp.Or(o.Every, time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &Detector{opt: o, made: o.Now()}
	return d
}

// Run looks until ctx ends.
func (d *Detector) Run(ctx context.Context) {
	tick := time.NewTicker(d.opt.Every)
	defer tick.Stop()
	var suspects []flow.Work
	last := d.opt.Now()
	for {
		now := d.opt.Now()
		d.looked.Store(int64(now.Sub(d.made)))
		d.opt.Book.Tick()
		// A process that was frozen finds everything late, and nothing of it stands.
		if now.Sub(last) < 3*d.opt.Every {
			d.judge(suspects)
		}
		last = now
		suspects = d.opt.Book.Late(now)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Healthy tells whether the gateway moves, as far as its own end would mend it:
// false while a stage before the acknowledgement or on the way to the record stands
// still, or when the detector itself does. A watchdog is fed while it is true.
func (d *Detector) Healthy() bool {
	quiet := d.opt.Now().Sub(d.made) - time.Duration(d.looked.Load())
	return d.stalled.Load() == 0 && quiet < missedLooks*d.opt.Every
}

// Stalls returns what stands still.
func (d *Detector) Stalls() []Stall {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.found)
}

// judge takes what was late at the last look already and has not moved since.
func (d *Detector) judge(suspects []flow.Work) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.found
	d.found = nil
	for _, w := range suspects {
		if !w.Still() {
			continue
		}
		known := slices.IndexFunc(before, func(s Stall) bool { return s.work.Same(w) })
		if known >= 0 {
			d.found = append(d.found, before[known])
		} else if len(d.found) < maxStalls {
			d.found = append(d.found, d.report(w))
		}
	}
	for _, s := range before {
		if !s.work.Still() {
			d.opt.Log.Warn("a stage moves again", "stage", s.Stage, "part", string(s.Part), "stood", d.opt.Now().Sub(s.Since).Round(time.Millisecond).String())
		}
	}
	d.tell()
}

// maxStalls bounds what is told one by one: a spool that stands holds up every
// call.
const maxStalls = 16

// report says of one stage that it stands still. Stacks are taken once for all that
// stands at the same time.
func (d *Detector) report(w flow.Work) Stall {
	s := Stall{Stage: w.Stage.Name(), Part: w.Stage.Part(), Since: w.Since, work: w}
	if len(d.found) > 0 {
		s.Stacks = d.found[0].Stacks
	}
	stacks := allStacks()
	s.Goroutine = Find(stacks, w.Stage.Frame())
	if d.opt.Keep != nil && s.Stacks == "" {
		var err error
		if s.Stacks, err = d.opt.Keep(s.Stage, stacks); err != nil {
			d.opt.Log.Error("the stacks of a stall could not be kept", "stage", s.Stage, "error", err)
		}
	}
	d.opt.Log.Error("a stage stands still", "stage", s.Stage, "part", string(s.Part), "since", s.Since, "for", w.Age.Round(time.Millisecond).String(),
		"goroutine", s.Goroutine, "stacks", s.Stacks)
	return s
}

// tell tells the statuses, and Healthy, what stands still.
func (d *Detector) tell() {
	why := map[flow.Part]string{}
	var bits uint32
	for _, s := range d.found {
		if why[s.Part] == "" {
			why[s.Part] = fmt.Sprintf("the stage %q stands still since %s: %s", s.Stage, s.Since.UTC().Format(time.TimeOnly), cmp.Or(s.Goroutine, "its goroutine was not found"))
		}
		switch s.Part {
		case flow.Acknowledgement:
			bits |= 1
		case flow.Delivery:
			bits |= 2
		}
	}
	d.stalled.Store(bits)
	for part, status := range d.opt.Status {
		if why[part] == "" {
			status.OK()
		} else {
			status.Failing(why[part])
		}
	}
}

// maxStacks bounds the stacks of all goroutines.
const maxStacks = 16 << 20

// allStacks returns the stacks of all goroutines, as long as they fit.
func allStacks() []byte {
	for size := 256 << 10; ; size *= 4 {
		b := make([]byte, size)
		if n := runtime.Stack(b, true); n < size || size >= maxStacks {
			return b[:n]
		}
	}
}

// Find returns the goroutine that is in a function whose name holds frame: its
// number, its state and the functions from the innermost up to that one. Of several
// it takes the one that waits longest, and the first of those. Frame may be several
// names with "|" between: the first that is found counts.
func Find(stacks []byte, frame string) string {
	for name := range strings.SplitSeq(frame, "|") {
		if found := find(string(stacks), name); found != "" {
			return found
		}
	}
	return ""
}

func find(stacks, frame string) string {
	best, longest := "", -1
	for g := range strings.SplitSeq(stacks, "\n\n") {
		head, body, _ := strings.Cut(g, "\n")
		at := strings.Index(body, frame)
		if frame == "" || at < 0 {
			continue
		}
		if minutes := waits(head); minutes > longest {
			best, longest = strings.TrimSuffix(head, ":")+" "+functions(body, frame), minutes
		}
	}
	return best
}

// waits returns for how many minutes a goroutine has been waiting, by its head.
func waits(head string) int {
	var minutes int
	_, rest, _ := strings.Cut(head, ", ")
	if _, err := fmt.Sscanf(rest, "%d minutes", &minutes); err != nil {
		return 0
	}
	return minutes
}

// maxFunctions bounds the functions that are shown of a stack.
const maxFunctions = 8

// functions returns the functions of a stack, the innermost first, up to the one
// whose name holds frame, without their arguments.
func functions(body, frame string) string {
	var names []string
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "\t") || strings.TrimSpace(line) == "" {
			continue
		}
		name := strings.TrimSpace(line)
		if at := strings.LastIndex(name, "("); at > 0 {
			name = name[:at]
		}
		names = append(names, name[strings.LastIndex(name, "/")+1:])
		if strings.Contains(line, frame) {
			break
		}
	}
	if len(names) > maxFunctions {
		names = append(append(names[:maxFunctions-2:maxFunctions-2], "…"), names[len(names)-1])
	}
	return strings.Join(names, " < ")
}
