package pipeline_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/pipeline"
	"github.com/penstock/penstock/internal/script"
)

// scriptFunc stands for the user's script.
type scriptFunc func(r *penstock.Report) (script.Outcome, error)

func (f scriptFunc) Run(_ context.Context, r *penstock.Report) (script.Outcome, error) { return f(r) }

// withScript returns the default list with the step script before validate.
func withScript() pipeline.Config {
	settings := script.Default()
	settings.File = "clean.js"
	all := pipeline.Default()
	at := slices.IndexFunc(all, func(s pipeline.Step) bool { return s.Validate != nil })
	return slices.Insert(all, at, pipeline.Step{Script: settings})
}

func TestScript(t *testing.T) {
	fault := &script.Fault{File: "clean.js", Line: 3, Text: "no"}
	var asked uint64 // the last report that the script saw
	b := newScripted(t, func(r *penstock.Report) (script.Outcome, error) {
		asked = r.Identity.Seq
		switch r.Identity.Seq {
		case 1:
			return script.Outcome{Changed: true, Samples: []penstock.Sample{sample("flow", penstock.FloatValue(5)), sample("twice", penstock.FloatValue(10))}}, nil
		case 2:
			return script.Outcome{Dropped: true}, nil
		case 3:
			return script.Outcome{Fault: fault}, nil
		case 4:
			return script.Outcome{Fault: fault, Rejected: true}, nil
		case 5:
			return script.Outcome{Fault: fault, Quarantine: true}, nil
		case 6: // what it makes is checked as if it had come so
			return script.Outcome{Changed: true, Samples: []penstock.Sample{sample("flow", penstock.TextValue("5"))}}, nil
		}
		return script.Outcome{}, penstock.RetryLater(penstock.Unavailable, 1, "script: every worker is busy")
	})
	send := func(seq uint64, samples ...penstock.Sample) *penstock.Report {
		return report("pump-17", seq, samples...)
	}
	flow := sample("flow", penstock.FloatValue(2.5))

	item := b.send(t, send(1, flow))
	wantItem(t, item, "", false, "")
	if s := item.Report.Samples; len(s) != 2 || s[0].Value.Float() != 5 || s[1].Point != "twice" {
		t.Errorf("samples %+v", s)
	}
	if item = b.send(t, send(2, sample("other", penstock.FloatValue(1)))); !item.Filter || item.Reason != "" {
		t.Errorf("dropped: %+v", item)
	}
	item = b.send(t, send(3, flow))
	wantItem(t, item, "", false, "")
	if s := item.Report.Samples; item.Filter || item.Quarantine != "" || len(s) != 1 || s[0] != flow {
		t.Errorf("passed: %+v", item)
	}
	item = b.send(t, send(4, flow))
	wantItem(t, item, penstock.ReasonScript, true, "script")
	if item.Detail != "script: clean.js:3: no" {
		t.Errorf("detail %q", item.Detail)
	}
	// A report for quarantine is as it came, and no later step refuses it.
	untimed := penstock.Sample{Point: "flow", Value: penstock.TextValue("x"), Flags: penstock.GatewayClock}
	item = b.send(t, send(5, untimed))
	wantItem(t, item, "", false, "")
	if item.Quarantine != "script: clean.js:3: no" || item.Report.Samples[0].SourceTime != noon {
		t.Errorf("for quarantine: %+v %+v", item, item.Report)
	}
	wantItem(t, b.send(t, send(6, flow)), penstock.ReasonType, true, "validate")
	wantRefused(t, b.submit(t, b.envelope(send(7, flow), send(8, flow))), penstock.ReasonLimited, penstock.Unavailable, "script")
	if asked != 7 {
		t.Errorf("report %d of a refused envelope was looked at", asked)
	}
	var points []string
	for _, p := range b.fleet.Points("pump-17") {
		points = append(points, p.Name)
	}
	if slices.Sort(points); strings.Join(points, " ") != "flow twice" {
		t.Errorf("the fleet learned %q", points)
	}
}

func newScripted(t *testing.T, f scriptFunc) *bench {
	t.Helper()
	return newBenchWith(t, withScript(), fleet.Options{}, func(d *pipeline.Deps) { d.Script = f })
}

// Without something that runs scripts, a list that has one is refused, as is one
// in the wrong place.
func TestScriptHasItsPlace(t *testing.T) {
	if _, err := pipeline.New(withScript(), pipeline.Deps{}); err == nil || !strings.Contains(err.Error(), "nothing here that runs") {
		t.Error(err)
	}
	all := pipeline.Default()
	list := append(slices.Clone(all), pipeline.Step{Script: &script.Config{File: "x.js"}})
	if err := list.Validate(); err == nil || !strings.Contains(err.Error(), `step "script" must come before "validate"`) {
		t.Error(err)
	}
}
