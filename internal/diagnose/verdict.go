package diagnose

import "time"

// Cause is where a fault is.
type Cause string

// The causes.
const (
	Healthy       Cause = "ok"
	Physical      Cause = "physical"   // cable, radio, fibre, their plugs and aerials
	Controller    Cause = "controller" // the device itself: its program, its clock, its supply
	Network       Cause = "network"    // what carries frames between a site and the gateway
	Gateway       Cause = "gateway"    // this software, or the machine that it runs on
	Store         Cause = "store"      // the record, and the disk that it stands on
	Configuration Cause = "configuration"
	Unclear       Cause = "unclear" // between two of these
)

// causes are those that the evidence is weighed for.
//
//lint:table
var causes = [...]Cause{Physical, Controller, Network, Gateway, Store, Configuration}

// Of says how much of the plant a fault takes.
type Of string

// The extents of a fault.
const (
	OfController Of = "controller"
	OfLine       Of = "line"
	OfSite       Of = "site"
	OfSource     Of = "source"
	OfNode       Of = "gateway"
)

// Scope is what a fault takes: one controller, or what several share.
type Scope struct {
	Of   Of
	Name string // empty for the gateway
}

// claim is what tells verdicts apart, whatever their evidence.
type claim struct {
	cause   Cause
	between [2]Cause
	scope   Scope
}

// Verdict is what the diagnosis says of one controller.
type Verdict struct {
	Cause      Cause
	Between    [2]Cause // the more likely first; of Unclear only
	Confidence float64  // 0 to 1, that it is the cause, or one of both
	Second     Cause    // the next hypothesis, empty for none
	Rule       string   // that decided
	Scope      Scope
	Since      time.Time
	For        []string // sentences
	Against    []string
	Missing    []string // what would help and is not known
	Next       string   // what to look at
	Send       string   // whom to send
}

func (v *Verdict) claim() claim { return claim{v.Cause, v.Between, v.Scope} }

// standing is what stands of a controller from one judgement to the next.
type standing struct {
	verdict   Verdict
	candidate claim
	since     int64 // of the candidate, nanoseconds since 1970 UTC
	times     int   // in a row
	// What is usual of it, learned while nothing is wrong.
	damage, loss, delay float64
}

// A change of verdict has to hold for some judgements, so that nothing flaps: an end
// for longer than a beginning.
const (
	confirmFault = 2
	confirmEnd   = 3
)

// judge takes a verdict in, and tells whether the standing one changed.
func (s *standing) judge(v Verdict, now time.Time) bool {
	if s.verdict.Cause == "" {
		s.verdict = Verdict{Cause: Healthy, Since: now}
	}
	if v.claim() == s.verdict.claim() {
		v.Since = s.verdict.Since
		s.verdict, s.times = v, 0
		return false
	}
	if s.times == 0 || v.claim() != s.candidate {
		s.candidate, s.since, s.times = v.claim(), now.UnixNano(), 0
	}
	v.Since = time.Unix(0, s.since).UTC()
	s.times++
	needed := confirmFault
	if v.Cause == Healthy || s.verdict.Cause != Healthy {
		needed = confirmEnd
	}
	if s.times < needed {
		return false
	}
	s.verdict, s.times = v, 0
	return true
}

// learn takes what is usual of the controller, while it is well.
func (s *standing) learn(f *features) {
	const slowly = 1.0 / 64
	if s.verdict.Cause != Healthy || f.hampered() || f.damaged {
		return
	}
	if n := f.now.frames + f.now.damaged; n > 0 {
		s.damage += (float64(f.now.damaged)/float64(n) - s.damage) * slowly
	}
	s.loss += (f.loss - s.loss) * slowly
	s.delay += (f.delay - s.delay) * slowly
}
