package diagnosis

import (
	"math"
	"time"

	"github.com/penstock/penstock/internal/diagnose"
	"github.com/penstock/penstock/internal/diagnose/commission"
)

// Overview is the first thing that an operator wants to know.
type Overview struct {
	Time        string  `json:"time"`
	Controllers int     `json:"controllers"`
	Reporting   int     `json:"reporting"`
	Late        int     `json:"late"`
	Silent      int     `json:"silent"`
	New         int     `json:"new" doc:"Registered, and not heard yet."`
	Held        int     `json:"held" doc:"Wait for a person to admit them."`
	Causes      []Cause `json:"causes" doc:"The largest first."`
}

// Verdict is what is said of a controller, or of all that share something.
type Verdict struct {
	Verdict    string   `json:"verdict" enum:"ok,physical,controller,network,gateway,store,configuration,unclear"`
	Between    []string `json:"between,omitempty" doc:"Of an unclear verdict: the two causes, the likelier first."`
	Confidence float64  `json:"confidence" doc:"0 to 1; of an unclear verdict, that it is one of both."`
	Second     string   `json:"second,omitempty" doc:"The next hypothesis."`
	Rule       string   `json:"rule,omitempty" doc:"That decided."`
	Scope      string   `json:"scope,omitempty" enum:"controller,line,site,source,gateway" doc:"How much of the plant it takes."`
	Name       string   `json:"name,omitempty" doc:"Of the controller, line, site or source."`
	Since      string   `json:"since,omitempty"`
	For        []string `json:"evidence_for,omitempty"`
	Against    []string `json:"evidence_against,omitempty"`
	Missing    []string `json:"evidence_missing,omitempty" doc:"What would help and is not known."`
	Next       string   `json:"next,omitempty" doc:"What to look at."`
	Send       string   `json:"send,omitempty" doc:"Whom to send."`
}

// Cause is a verdict with the controllers that it has in trouble.
type Cause struct {
	Verdict
	Count       int      `json:"count"`
	Controllers []string `json:"controllers" doc:"The first of them by name, at most 100."`
	Gap         uint64   `json:"missing" doc:"Sequence numbers that are missing now; 0 where nothing is lost as far as numbers tell."`
}

// Detail is all that is known of one controller.
type Detail struct {
	Verdict
	Controller string   `json:"controller"`
	Site       string   `json:"site,omitempty"`
	Line       string   `json:"line,omitempty"`
	Source     string   `json:"source,omitempty"`
	LinkType   string   `json:"link_type,omitempty"`
	Pulse      string   `json:"pulse" enum:"reporting,late,silent,new,held"`
	LastSeen   string   `json:"last_seen,omitempty"`
	Usual      float64  `json:"usual_interval,omitempty" doc:"Seconds between two reports."`
	Clock      *Clock   `json:"clock,omitempty"`
	Hops       *Hops    `json:"last_report,omitempty" doc:"When the report that was settled last passed each stage."`
	Now        Counts   `json:"now"`
	Before     Counts   `json:"before"`
	Signals    []Signal `json:"signals,omitempty"`
	Gap        uint64   `json:"missing" doc:"Sequence numbers that are missing now."`
}

// Clock is what is known of a controller's clock and of the way to us.
type Clock struct {
	Age    float64 `json:"least_age" doc:"Seconds that its fastest report took by its own clock; negative when that is ahead."`
	Delay  float64 `json:"delay" doc:"Seconds that its reports take longer than that, on average now."`
	Offset float64 `json:"stepped" doc:"Seconds that its clock stepped by, 0 when it is right again."`
}

// Hops are when a report passed each stage. Source is on the controller's clock.
type Hops struct {
	Identity string `json:"identity"`
	Source   string `json:"source,omitempty"`
	Received string `json:"received"`
	Accepted string `json:"accepted"`
	Stored   string `json:"stored"`
}

// Counts are what came in a window.
type Counts struct {
	Seconds      float64 `json:"seconds"`
	Reports      uint32  `json:"reports"`
	Fresh        uint32  `json:"fresh"`
	Again        uint32  `json:"again"`
	Skipped      uint32  `json:"skipped" doc:"Numbers that did not come in their turn."`
	Refused      uint32  `json:"refused"`
	Frames       uint32  `json:"frames"`
	Damaged      uint32  `json:"damaged"`
	LineErrors   uint32  `json:"line_errors"`
	Timeouts     uint32  `json:"timeouts"`
	Exceptions   uint32  `json:"exceptions"`
	Malformed    uint32  `json:"malformed"`
	Restarts     uint32  `json:"restarts"`
	SessionsLost uint32  `json:"sessions_lost"`
}

// Signal is a signal beside what is usual and what is needed.
type Signal struct {
	Quantity string   `json:"quantity"`
	Unit     string   `json:"unit"`
	Value    float64  `json:"value"`
	Usual    *float64 `json:"usual,omitempty" doc:"Its own baseline."`
	Limit    float64  `json:"limit" doc:"The least that is enough; of an attenuation the most."`
	Time     string   `json:"time" doc:"When it was told: a controller that is silent tells no newer one."`
}

// Order says how a connection is to be checked.
type Order struct {
	For   string `json:"for,omitempty" doc:"How long; 1m when absent." example:"5m"`
	Every string `json:"every,omitempty" doc:"The longest that a point may be away; once at all when absent." example:"10s"`
}

// Commissionings are the records of a controller.
type Commissionings struct {
	Records []Commissioning `json:"records"`
}

// Commissioning is the record of one check of a connection.
type Commissioning struct {
	ID         string  `json:"id"`
	Controller string  `json:"controller"`
	Site       string  `json:"site,omitempty"`
	Line       string  `json:"line,omitempty"`
	Source     string  `json:"source,omitempty"`
	LinkType   string  `json:"link_type,omitempty"`
	By         string  `json:"by" doc:"The credential that asked for it."`
	Begun      string  `json:"begun"`
	Ends       string  `json:"ends"`
	Done       bool    `json:"done"`
	Passed     bool    `json:"passed"`
	Checks     []Check `json:"checks,omitempty"`
}

// Check is one check of a record.
type Check struct {
	Name   string `json:"name"`
	Result string `json:"result" enum:"pass,fail,unknown"`
	Says   string `json:"says"`
}

// shownNames is how many controllers of a cause are named.
const shownNames = 100

// OverviewOf returns an overview as answers have it.
func OverviewOf(o *diagnose.Overview) Overview {
	answer := Overview{
		Time: text(o.Time), Reporting: o.Pulses[diagnose.Reporting], Late: o.Pulses[diagnose.Late], Silent: o.Pulses[diagnose.Silent],
		New: o.Pulses[diagnose.Unheard], Held: o.Pulses[diagnose.Held], Causes: []Cause{},
	}
	for _, n := range o.Pulses {
		answer.Controllers += n
	}
	for i := range o.Groups {
		g := &o.Groups[i]
		answer.Causes = append(answer.Causes, Cause{
			Verdict: verdictOf(&g.Verdict), Count: len(g.Controllers), Controllers: g.Controllers[:min(shownNames, len(g.Controllers))], Gap: g.Missing,
		})
	}
	return answer
}

func verdictOf(v *diagnose.Verdict) Verdict {
	answer := Verdict{
		Verdict: string(v.Cause), Confidence: round(v.Confidence), Second: string(v.Second), Rule: v.Rule, Scope: string(v.Scope.Of), Name: v.Scope.Name,
		Since: text(v.Since), For: v.For, Against: v.Against, Missing: v.Missing, Next: v.Next, Send: v.Send,
	}
	if v.Cause == "" {
		answer.Verdict = string(diagnose.Healthy) // it was not judged yet
	}
	if v.Cause == diagnose.Unclear {
		answer.Between = []string{string(v.Between[0]), string(v.Between[1])}
	}
	return answer
}

// DetailOf returns what is known of a controller as answers have it.
func DetailOf(d *diagnose.Detail) Detail {
	answer := Detail{
		Verdict: verdictOf(&d.Verdict), Controller: d.Known.Name, Site: d.Site, Line: d.Line, Source: d.Source, LinkType: d.LinkType,
		Pulse: string(d.Pulse), LastSeen: text(d.LastSeen), Usual: round(d.Usual), Now: countsOf(&d.Now), Before: countsOf(&d.Before), Gap: d.Missing,
	}
	if d.HasAge {
		answer.Clock = &Clock{Age: round(d.Age), Delay: round(d.Delay), Offset: round(d.Offset)}
	}
	if h := d.Hops; h.Stored != 0 {
		answer.Hops = &Hops{h.Identity.String(), nanoText(h.Source), nanoText(h.Received), nanoText(h.Accepted), nanoText(h.Stored)}
	}
	for _, s := range d.Signals {
		shown := Signal{Quantity: string(s.Quantity), Unit: s.Quantity.Unit(), Value: round(s.Value), Limit: s.Least, Time: text(s.Time)}
		if s.HasUsual {
			usual := round(s.Usual)
			shown.Usual = &usual
		}
		answer.Signals = append(answer.Signals, shown)
	}
	return answer
}

func countsOf(c *diagnose.Counts) Counts {
	return Counts{
		Seconds: round(c.Seconds), Reports: c.Reports, Fresh: c.Fresh, Again: c.Again, Skipped: c.Skipped, Refused: c.Refused, Frames: c.Frames,
		Damaged: c.Damaged, LineErrors: c.Line, Timeouts: c.Timeouts, Exceptions: c.Exceptions, Malformed: c.Malformed, Restarts: c.Restarts,
		SessionsLost: c.SessionsLost,
	}
}

func commissioningOf(r *commission.Record) Commissioning {
	c := Commissioning{
		ID: r.ID, Controller: r.Controller, Site: r.Site, Line: r.Line, Source: r.Source, LinkType: r.LinkType, By: r.By,
		Begun: text(r.Begun), Ends: text(r.Ends), Done: r.Done, Passed: r.Passed,
	}
	for _, k := range r.Checks {
		c.Checks = append(c.Checks, Check{k.Name, string(k.Result), k.Says})
	}
	return c
}

func text(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func nanoText(ns int64) string {
	if ns == 0 {
		return ""
	}
	return text(time.Unix(0, ns))
}

// round keeps a thousandth.
func round(v float64) float64 { return math.Round(v*1000) / 1000 }
