package diagnose

import (
	"math"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/diagnose/rhythm"
)

// rule says of what shows which cause it has. The first that holds decides.
type rule struct {
	name  string
	cause Cause
	or    Cause // set where both cannot be told apart
	holds func(f *features) bool
	scope func(f *features) Scope
}

// rules in their order: what lies nearest to the gateway first, because its trouble
// shows on everything behind it.
//
//lint:table
var rules = []rule{
	{"held", Configuration, "", func(f *features) bool { return f.known.Held && f.now.reports > 0 }, alone},
	{"store-stands", Store, "", func(f *features) bool { return !f.late && !f.silent && f.storeLate() }, ofNode},
	{"spool-refuses", Gateway, "", func(f *features) bool { return f.node.Spool != "" }, ofNode},
	{"gateway-stood-still", Gateway, "", func(f *features) bool { return !f.silent && f.node.stood >= leastStall }, ofNode},
	{"gateway-slow", Gateway, "", func(f *features) bool { return f.now.dwell >= leastStall }, ofNode},
	{"read-too-late", Gateway, "", func(f *features) bool { return f.port.overrun >= 3 }, ofLine},
	{"refused-by-rule", Configuration, "", func(f *features) bool { return f.refused() && declared(f.reason) }, alone},
	{"refused-content", Controller, "", func(f *features) bool { return f.refused() && !declared(f.reason) }, alone},
	{"never-whole", Configuration, Physical, (*features).neverWhole, ofLineOrAlone},
	{"not-decodable-all", Configuration, "", func(f *features) bool { return f.undecodable() && f.source.most(3) }, ofSource},
	{"not-decodable", Controller, "", (*features).undecodable, alone},
	{"exceptions", Controller, "", func(f *features) bool { return f.now.exceptions >= 3 && f.now.exceptions*20 >= f.now.frames }, alone},
	{"clock", Controller, "", (*features).wrongClock, alone},
	{"hangs", Controller, "", func(f *features) bool { return f.alive && !f.damaged && !f.badLine() && !f.siteWide() }, alone},
	{"damaged", Physical, "", func(f *features) bool { return f.damaged || f.badLine() }, ofPhysical},
	{"site-fades", Physical, "", func(f *features) bool { return f.fading() && (f.faded() || f.hampered()) }, ofSite},
	{"weak-and-hampered", Physical, "", func(f *features) bool { return f.weak() && f.hampered() }, ofPhysical},
	{"far-too-weak", Physical, "", func(f *features) bool { return f.hasBase && f.quantity >= 0 && f.drop >= 2*f.limit }, ofPhysical},
	{"silent-after-decay", Physical, "", func(f *features) bool { return f.trail }, ofPhysical},
	{"sites-share-it", Network, Gateway, func(f *features) bool { return f.hampered() && f.everySite() }, ofSource},
	{"site-shares-it", Network, "", func(f *features) bool { return f.hampered() && f.siteWide() }, ofSite},
	{"line-shares-it", Physical, "", func(f *features) bool { return f.hampered() && f.lineWide() && f.line.others < f.site.others }, ofLine},
	{"line-is-the-site", Network, Physical, func(f *features) bool { return f.hampered() && f.lineWide() }, ofLine},
	{"site-shares-some", Network, "", func(f *features) bool { return f.shared() && f.siteSome() && !f.silent }, ofSite},
	{"source-fails", Network, Configuration, func(f *features) bool { return f.hampered() && f.failing != "" }, ofSource},
	{"all-share-it", Network, Gateway, func(f *features) bool { return f.hampered() && f.source.most(5) }, ofSource},
	{"restarted", Controller, "", func(f *features) bool { return f.now.restarts > 0 }, alone},
	{"never-came", Configuration, Controller, func(f *features) bool { return f.silent && f.never }, alone},
	{"silent-alone", Controller, Physical, func(f *features) bool { return f.silent || f.timeout }, alone},
	{"slow-alone", Network, Physical, func(f *features) bool { return f.lossy || f.slow }, alone},
}

// leastStall is how many seconds the gateway or its store have to stand still to be
// at fault.
const leastStall = 1.0

// storeLate tells whether the record takes long by itself: what it took while the
// gateway stood still is the gateway's.
func (f *features) storeLate() bool {
	least := leastStall + f.node.stood
	return f.node.Store != "" || f.node.waits >= 2*leastStall || float64(f.now.store) >= least && f.node.slow >= least
}

// refused tells whether most of what comes is refused.
func (f *features) refused() bool { return f.now.refused >= 3 && 2*f.now.refused >= f.now.reports }

// declared tells whether the reason of a refusal is what a person declared, and not
// what the controller sent.
func declared(r penstock.Reason) bool {
	switch r {
	case penstock.ReasonType, penstock.ReasonUnit, penstock.ReasonRange, penstock.ReasonForbidden, penstock.ReasonUnknown,
		penstock.ReasonUnauthenticated, penstock.ReasonLimited, penstock.ReasonName, penstock.ReasonScript, penstock.ReasonTooLarge:
		return true
	}
	return false
}

// neverWhole tells whether frames come and none was ever whole.
func (f *features) neverWhole() bool {
	n := f.now.damaged + f.port.damaged
	return f.never && n >= 10 && f.now.frames+f.port.frames == 0
}

func (f *features) undecodable() bool {
	return f.now.malformed >= 3 && f.now.malformed*20 >= f.now.frames
}

func (f *features) wrongClock() bool {
	return math.Abs(f.offset) >= rhythm.LeastStep || math.Abs(float64(f.now.jump)) >= rhythm.LeastStep || f.ahead >= rhythm.LeastStep
}

func alone(f *features) Scope  { return Scope{OfController, f.known.Name} }
func ofNode(*features) Scope   { return Scope{Of: OfNode} }
func ofSite(f *features) Scope { return Scope{OfSite, f.known.Site} }
func ofSource(f *features) Scope {
	return Scope{OfSource, f.known.Source}
}
func ofLine(f *features) Scope { return Scope{OfLine, f.known.Line} }

func ofLineOrAlone(f *features) Scope {
	if f.known.Line != "" && f.line.others > 0 {
		return ofLine(f)
	}
	return alone(f)
}

// ofPhysical returns the line or the site when it is in trouble as a whole.
func ofPhysical(f *features) Scope {
	switch {
	case f.known.Line != "" && (f.badLine() || f.line.most(1)):
		return ofLine(f)
	case f.known.Site != "" && (f.fading() || f.site.most(2)):
		return ofSite(f)
	}
	return alone(f)
}

// decide returns the verdict on what shows; a Healthy one when no rule holds.
func decide(f *features) Verdict {
	for i := range rules {
		r := &rules[i]
		if !r.holds(f) {
			continue
		}
		v := Verdict{Cause: r.cause, Rule: r.name, Scope: r.scope(f)}
		weigh(f, &v, r)
		return v
	}
	return Verdict{Cause: Healthy, Confidence: 1}
}
