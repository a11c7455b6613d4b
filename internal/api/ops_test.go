package api_test

import (
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/ops"
)

// fakeLog is a log with one component and two outputs.
type fakeLog struct{ set map[string]string }

func newFakeOps() ops.Parts { return ops.Parts{Log: &fakeLog{set: map[string]string{}}} }

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
