package api_test

import (
	"slices"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/diagnose"
	"github.com/penstock/penstock/internal/diagnose/commission"
	"github.com/penstock/penstock/internal/evidence"
)

// fakeDiagnosis knows a line with noise, a controller that is well, and one that was
// commissioned.
type fakeDiagnosis struct{}

func noise() diagnose.Verdict {
	return diagnose.Verdict{
		Cause: diagnose.Physical, Confidence: 0.98765, Second: diagnose.Network, Rule: "damaged", Scope: diagnose.Scope{Of: diagnose.OfLine, Name: "line-3"},
		Since: startOfTest, For: []string{"12 of 210 frames (5.7 %) failed their checksum in 1m0s"}, Next: "measure the line", Send: "an electrician",
	}
}

func (fakeDiagnosis) Overview(f diagnose.Filter) diagnose.Overview {
	names := slices.DeleteFunc([]string{"pump-17", "pump-18", "tank-2"}, func(n string) bool { return !f.Shows(n) })
	o := diagnose.Overview{Time: startOfTest, Pulses: map[diagnose.Pulse]int{diagnose.Reporting: len(names), diagnose.Late: 1}}
	if len(names) > 0 && f.Site == "" && f.Since.IsZero() {
		o.Groups = []diagnose.Group{{Verdict: noise(), Controllers: names, Missing: 7}, {Verdict: diagnose.Verdict{
			Cause: diagnose.Unclear, Between: [2]diagnose.Cause{diagnose.Controller, diagnose.Physical}, Confidence: 0.8,
			Scope: diagnose.Scope{Of: diagnose.OfController, Name: names[0]}, Since: startOfTest,
		}, Controllers: names[:1]}}
	}
	return o
}

func (fakeDiagnosis) Detail(controller string) (diagnose.Detail, bool) {
	return diagnose.Detail{
		Known:   diagnose.Known{Name: controller, Site: "north", Line: "line-3", Source: "line-3", Missing: 7},
		Verdict: noise(), Pulse: diagnose.Late, LastSeen: startOfTest, Usual: 10, Age: 0.25, Delay: 1.5, HasAge: true,
		Hops: diagnose.Hops{
			Identity: penstock.SequenceIdentity(1, 42), Received: startOfTest.UnixNano(), Accepted: startOfTest.UnixNano() + 3e6, Stored: startOfTest.UnixNano() + 40e6,
		},
		Now:     diagnose.Counts{Seconds: 60, Reports: 6, Fresh: 5, Skipped: 1, Frames: 198, Damaged: 12},
		Signals: []diagnose.SignalNow{{Quantity: evidence.RSSI, Value: -97.04, Usual: -80, HasUsual: true, Least: -100}},
	}, controller == "pump-17"
}

func (fakeDiagnosis) Standings() []diagnose.Standing {
	return []diagnose.Standing{
		{Name: "pump-17", Site: "north", Line: "line-3", Pulse: diagnose.Late, Cause: diagnose.Physical, LastSeen: startOfTest.UnixNano()},
		{Name: "pump-18", Pulse: diagnose.Reporting, Cause: diagnose.Healthy, LastSeen: startOfTest.UnixNano()},
		{Name: "tank-2", Pulse: diagnose.Silent, Cause: diagnose.Physical, LastSeen: startOfTest.UnixNano()},
	}
}

func (fakeDiagnosis) Records(controller string) []commission.Record {
	if controller != "pump-17" {
		return nil
	}
	return []commission.Record{{
		ID: "pump-17@1", Controller: controller, By: "abc", Begun: startOfTest, Ends: startOfTest.Add(time.Minute), Done: true, Passed: true,
		Checks: []commission.Check{{Name: "clock", Result: commission.Pass, Says: "it is right"}},
	}}
}

func (fakeDiagnosis) Commission(controller, by string, length, _ time.Duration) (commission.Record, error) {
	if controller != "pump-17" {
		return commission.Record{}, penstock.Errorf(penstock.NotFound, "%q is no registered controller", controller)
	}
	return commission.Record{ID: "pump-17@2", Controller: controller, By: by, Begun: startOfTest, Ends: startOfTest.Add(length)}, nil
}
