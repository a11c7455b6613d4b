package watch

import (
	"cmp"
	"runtime/metrics"
	"slices"

	"github.com/penstock/penstock/internal/api/ops"
	"github.com/penstock/penstock/internal/flow"
	"github.com/penstock/penstock/internal/memory"
	metric "github.com/penstock/penstock/internal/metrics"
)

// measure ties the metrics of the stages to their book.
func (w *Watcher) measure() {
	w.Metrics.ReadHistogram(metric.StageSeconds, func(yield func(metric.Buckets, ...string)) {
		for _, s := range w.Parts.Flow.View().Stages {
			yield(metric.Buckets{Count: s.All.Works, Sum: s.All.Seconds, Below: s.All.Below}, s.Name, string(s.Part))
		}
	})
	w.Metrics.Read(metric.StageReports, func(yield func(float64, ...string)) {
		for _, s := range w.Parts.Flow.View().Stages {
			yield(float64(s.All.Reports), s.Name)
		}
	})
	w.Metrics.Read(metric.StageBusy, func(yield func(float64, ...string)) {
		for _, s := range w.Parts.Flow.View().Stages {
			yield(s.Busy, s.Name)
		}
	})
	w.Metrics.Read(metric.StageSlowest, func(yield func(float64, ...string)) {
		v := w.Parts.Flow.View()
		for _, s := range v.Stages {
			slowest := 0.0
			if v.Slowest[s.Part] == s.Name {
				slowest = 1
			}
			yield(slowest, s.Name, string(s.Part))
		}
	})
	w.Metrics.Read(metric.Stalls, func(yield func(float64, ...string)) {
		standing := map[flow.Part]float64{flow.Acknowledgement: 0, flow.Delivery: 0, flow.Aside: 0}
		for _, s := range w.Stalls() {
			standing[s.Part]++
		}
		for part, n := range standing {
			yield(n, string(part))
		}
	})
}

// measureMemory ties the metrics of the limit to its guard.
func (w *Watcher) measureMemory() {
	w.Metrics.ReadOne(metric.MemoryLimit, func() float64 { return float64(w.Memory.Limit()) })
	w.Metrics.ReadOne(metric.MemoryShedding, func() float64 { return float64(w.Memory.Level()) })
}

// Flow implements ops.Flow.
func (w *Watcher) Flow(worst int, shown func(string) bool) ops.FlowInfo {
	view, state := w.Parts.Flow.View(), w.Spool.State()
	info := ops.FlowInfo{
		Time: ops.Moment(w.Now()), Window: view.Window.Seconds(), Slowest: map[string]string{},
		Spool:   ops.SpoolInfo{Used: state.Used, Quota: state.Quota, Pending: state.Pending},
		Backlog: []ops.BacklogInfo{w.backlog("record")}, Memory: w.memoryInfo(), Worst: w.worst(worst, shown),
	}
	for part, name := range view.Slowest {
		info.Slowest[string(part)] = name
	}
	slices.SortStableFunc(view.Stages, func(a, b flow.StageView) int { return cmp.Compare(place(a), place(b)) })
	for _, s := range view.Stages {
		info.Stages = append(info.Stages, ops.StageInfo{
			Name: s.Name, Part: string(s.Part), Works: s.Works, Reports: s.Reports, Rate: float64(s.Reports) / max(view.Window.Seconds(), 1),
			Mean: s.Mean.Seconds(), P50: s.P50.Seconds(), P99: s.P99.Seconds(), Busy: s.Busy, UnderWay: s.UnderWay, OldestAge: s.Oldest.Seconds(),
		})
	}
	for _, s := range w.Stalls() {
		info.Stalls = append(info.Stalls, ops.StallInfo{
			Stage: s.Stage, Part: string(s.Part), Since: ops.Moment(s.Since), Goroutine: s.Goroutine, Stacks: s.Stacks,
		})
	}
	return info
}

// place returns where a stage stands on the way of a report, roughly: the parts are
// opened from the disk upwards, and so their stages are made.
func place(s flow.StageView) int {
	switch {
	case s.Part != flow.Acknowledgement:
		return 4
	case s.Name == "spool sync":
		return 3
	case s.Name == "spool queue":
		return 2
	case s.Name == "intake":
		return 1
	}
	return 0
}

// backlog returns what waits for the record.
func (w *Watcher) backlog(name string) ops.BacklogInfo {
	durable, through := w.Spool.Durable(), w.Through()
	b := ops.BacklogInfo{Sink: name}
	if durable > through {
		b.Entries = uint64(durable - through)
	}
	for _, c := range w.Health.Snapshot().Components {
		if c.Name == name {
			b.State, b.Why = string(c.Status), c.Why
		}
	}
	return b
}

func (w *Watcher) memoryInfo() ops.MemoryInfo {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/sched/goroutines:goroutines"},
	}
	metrics.Read(samples)
	return ops.MemoryInfo{
		Used: memory.Used(), Limit: w.Memory.Limit(), Shedding: w.Memory.Level().String(),
		Heap: samples[0].Value.Uint64(), Goroutines: samples[1].Value.Uint64(), Connections: w.connections(),
	}
}

// worst returns the controllers with most trouble in their books.
func (w *Watcher) worst(most int, shown func(string) bool) []ops.TroubleInfo {
	all := []ops.TroubleInfo{}
	for _, a := range w.Intake.Books() {
		if a.Controller == "" || !shown(a.Controller) {
			continue
		}
		t := ops.TroubleInfo{Controller: a.Controller, Quarantined: a.Books.Quarantined, Duplicate: a.Books.Duplicate, InSpool: a.Books.Waiting}
		for _, n := range a.Books.Rejected {
			t.Rejected += n
		}
		_, t.Missing, _ = w.Intake.Arrivals(a.Controller)
		if t.Missing+t.Rejected+t.Quarantined > 0 {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b ops.TroubleInfo) int {
		return cmp.Or(cmp.Compare(b.Missing+b.Rejected+b.Quarantined, a.Missing+a.Rejected+a.Quarantined), cmp.Compare(a.Controller, b.Controller))
	})
	return all[:min(len(all), most)]
}
