package api_test

import (
	"context"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/ops"
)

// fakeLog is a log with one component and two outputs.
type fakeLog struct{ set map[string]string }

func newFakeOps() ops.Parts {
	return ops.Parts{Log: &fakeLog{set: map[string]string{}}, Flow: fakeFlow{}, Reloader: fakeReloader{}, Gaps: fakeGaps{}}
}

func (l *fakeLog) Levels() (string, []ops.Level) {
	return "info", []ops.Level{{Component: "spool", Level: "debug", Own: true}}
}

func (l *fakeLog) SetLevel(component, level string) error {
	if component == "spol" {
		return penstock.Errorf(penstock.NotFound, "There is no component spol.")
	}
	l.set[component] = level
	return nil
}

func (l *fakeLog) Outputs() []ops.Output {
	at := ops.Moment(startOfTest)
	return []ops.Output{
		{Name: "stderr", Kind: "json", State: "ok", Since: at, Sent: 7},
		{Name: "central", Kind: "syslog+tls", State: "failing", Since: at, Why: "refused", Queued: 2, Dropped: 1},
	}
}

type fakeFlow struct{}

func (fakeFlow) Flow(worst int, shown func(string) bool) ops.FlowInfo {
	f := ops.FlowInfo{
		Time: ops.Moment(startOfTest), Window: 60, Slowest: map[string]string{"acknowledgement": "spool sync"},
		Stages:  []ops.StageInfo{{Name: "spool sync", Part: "acknowledgement", Works: 600, Reports: 6000, Rate: 100, Mean: 0.002, P50: 0.002, P99: 0.005, Busy: 0.02}},
		Stalls:  []ops.StallInfo{{Stage: "record settle", Part: "delivery", Since: ops.Moment(startOfTest), Goroutine: "goroutine 7 [select]", Stacks: "stalls/1.txt"}},
		Backlog: []ops.BacklogInfo{{Sink: "record", Entries: 5, State: "ok"}}, Worst: []ops.TroubleInfo{},
	}
	for _, name := range []string{"pump-17", "tank-1"} {
		if shown(name) && len(f.Worst) < worst {
			f.Worst = append(f.Worst, ops.TroubleInfo{Controller: name, Missing: 3})
		}
	}
	return f
}

type fakeReloader struct{}

func (fakeReloader) Reload(_ context.Context, dry bool) (ops.ReloadInfo, error) {
	return ops.ReloadInfo{
		DryRun: dry, Restart: true,
		Changes: []ops.ConfigChange{{Key: "unknown", Before: "register", After: "hold", Effect: "restart", Why: "it is read at the start"}},
		Deletes: []string{"the historian deletes all samples of the days before 2026-11-15 (UTC), for good"},
	}, nil
}

type fakeGaps struct{}

func (fakeGaps) Gaps(limit int, shown func(string) bool) ops.GapsInfo {
	info := ops.GapsInfo{Gaps: []ops.Gap{}}
	for _, name := range []string{"pump-17", "tank-1"} {
		if shown(name) && len(info.Gaps) < limit {
			info.Gaps = append(info.Gaps, ops.Gap{Controller: name, Epoch: 1, First: 4, Last: 6})
		}
	}
	return info
}

func (fakeGaps) DeclareLost(_ context.Context, _ []ops.Gap, _ bool) error { return nil }
