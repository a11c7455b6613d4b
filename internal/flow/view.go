package flow

import "time"

// The window over which rates and quantiles are told, in steps.
const (
	step  = 10 * time.Second
	steps = 6
)

// moment is what all stages had counted at one time.
type moment struct {
	at     time.Time
	stages []sums
}

// sums is what a stage had counted at one time.
type sums struct {
	took           counts
	nanos, reports uint64
}

func (s *Stage) sums() sums { return sums{s.took.read(), s.nanos.Load(), s.reports.Load()} }

// Tick keeps what was counted until now, when the last time it did is long enough
// ago. It is to be called every few seconds.
func (b *Book) Tick() {
	now := b.opt.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.history); n > 0 && now.Sub(b.history[n-1].at) < step {
		return
	}
	m := moment{at: now}
	for _, s := range b.stages {
		m.stages = append(m.stages, s.sums())
	}
	b.history = append(b.history, m)
	if len(b.history) > steps+1 {
		b.history = append(b.history[:0], b.history[1:]...)
	}
}

// StageView is how a stage did over the last minute.
type StageView struct {
	Name     string
	Part     Part
	Works    uint64        // pieces of work that ended
	Reports  uint64        // for which they were done
	Mean     time.Duration // of a piece of work
	P50, P99 time.Duration // likewise, to a fifth of the value
	Busy     float64       // time spent in it a second; above 1 when several worked at once
	UnderWay int           // pieces of work, now
	Oldest   time.Duration // age of the oldest of them

	All Totals
}

// Totals is what a stage counted since the gateway started.
type Totals struct {
	Works, Reports uint64
	Seconds        float64
	Below          map[float64]uint64 // pieces of work that took less than so many seconds
}

// View is how all stages did.
type View struct {
	Window  time.Duration
	Stages  []StageView     // in the order in which they were made
	Slowest map[Part]string // the stage in which a piece of work took longest
}

// View returns how the stages did over the last minute, or since the start.
func (b *Book) View() View {
	now := b.opt.Now()
	under := b.underWay(now)
	b.mu.Lock()
	defer b.mu.Unlock()
	before := moment{at: b.began}
	if len(b.history) > 0 && len(b.history) > steps {
		before = b.history[0]
	}
	v := View{Window: now.Sub(before.at), Slowest: map[Part]string{}}
	longest := map[Part]time.Duration{}
	for i, s := range b.stages {
		var earlier sums
		if i < len(before.stages) {
			earlier = before.stages[i]
		}
		view := s.view(s.sums(), earlier, v.Window)
		for _, w := range under {
			if w.Stage == s {
				view.UnderWay++
				view.Oldest = max(view.Oldest, w.Age)
			}
		}
		// What is under way for long is slow although it has not ended yet.
		if slow := max(view.Mean, view.Oldest); slow > longest[s.part] {
			longest[s.part], v.Slowest[s.part] = slow, s.name
		}
		v.Stages = append(v.Stages, view)
	}
	return v
}

func (s *Stage) view(now, before sums, window time.Duration) StageView {
	v := StageView{Name: s.name, Part: s.part, Reports: now.reports - before.reports}
	v.All = Totals{Works: now.took.total(), Reports: now.reports, Seconds: time.Duration(now.nanos).Seconds(), Below: now.took.octaves()}
	recent := now.took
	for i := range recent {
		recent[i] -= before.took[i]
	}
	nanos := now.nanos - before.nanos
	v.Works, v.P50, v.P99 = recent.total(), recent.quantile(0.5), recent.quantile(0.99)
	if v.Works > 0 {
		v.Mean = time.Duration(nanos / v.Works)
	}
	if window > 0 {
		v.Busy = float64(nanos) / float64(window)
	}
	return v
}
