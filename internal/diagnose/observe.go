package diagnose

import (
	"fmt"
	"math"

	"github.com/penstock/penstock/internal/diagnose/phrase"
	"github.com/penstock/penstock/internal/diagnose/rhythm"
	"github.com/penstock/penstock/internal/diagnose/signal"
)

// observation is something that can be seen, and what it speaks for (positive) and
// against (negative), as logarithms of odds.
type observation struct {
	holds  func(f *features) bool
	says   func(f *features) string
	weight map[Cause]float64
}

type weights = map[Cause]float64

// observations in the order in which they are told.
//
//lint:table
var observations = []observation{
	{func(f *features) bool { return f.known.Held },
		func(f *features) string { return "it waits for a person to admit it, and its reports are refused" },
		weights{Configuration: 6}},
	{func(f *features) bool { return f.node.Store != "" },
		func(f *features) string { return "the record says: " + f.node.Store },
		weights{Store: 6}},
	{func(f *features) bool { return f.storeLate() && f.node.Store == "" },
		func(f *features) string {
			return fmt.Sprintf("%s accepted and not yet in the record, which takes %s", phrase.Count(f.node.waiting, "report is", "reports are"), phrase.Span(math.Max(f.node.waits, f.node.slow)))
		},
		weights{Store: 5, Network: -1, Physical: -1}},
	{func(f *features) bool { return f.node.Spool != "" },
		func(f *features) string { return "the spool says: " + f.node.Spool },
		weights{Gateway: 6}},
	{func(f *features) bool { return f.node.stood >= leastStall },
		func(f *features) string { return "the gateway itself stood still for " + phrase.Span(f.node.stood) },
		weights{Gateway: 5, Network: -1, Physical: -1}},
	{func(f *features) bool { return f.now.dwell >= leastStall },
		func(f *features) string {
			return "the gateway took up to " + phrase.Span(float64(f.now.dwell)) + " to look at a report"
		},
		weights{Gateway: 4}},
	{func(f *features) bool { return f.port.overrun >= 3 },
		func(f *features) string {
			return fmt.Sprintf("this machine read the line too late %d times, which is not the cable", f.port.overrun)
		},
		weights{Gateway: 4, Physical: -1}},
	{func(f *features) bool { return f.refused() && declared(f.reason) }, refusedFor,
		weights{Configuration: 5, Controller: 2.5, Network: -2, Physical: -2}},
	{func(f *features) bool { return f.refused() && !declared(f.reason) }, refusedFor,
		weights{Controller: 5, Configuration: 2.5, Network: -2, Physical: -2}},
	{(*features).neverWhole,
		func(f *features) string {
			return "not one whole frame ever came: the checksum, the speed or the parity may be set wrong"
		},
		weights{Configuration: 2.5, Physical: 2}},
	{(*features).undecodable,
		func(f *features) string {
			return fmt.Sprintf("%d messages with a good checksum made no sense", f.now.malformed)
		},
		weights{Controller: 3, Configuration: 2, Physical: -3, Network: -2}},
	{func(f *features) bool { return f.now.exceptions >= 3 },
		func(f *features) string {
			return fmt.Sprintf("it answered %d times that it will not or is busy", f.now.exceptions)
		},
		weights{Controller: 4, Physical: -2, Network: -2}},
	{func(f *features) bool {
		return math.Abs(f.offset) >= rhythm.LeastStep || math.Abs(float64(f.now.jump)) >= rhythm.LeastStep
	},
		func(f *features) string {
			by := f.offset
			if by == 0 {
				by = float64(f.now.jump)
			}
			return fmt.Sprintf("its clock jumped by %+.1f s while its reports came as evenly as before%s", by, summer(by))
		},
		weights{Controller: 5}},
	{func(f *features) bool { return f.ahead >= rhythm.LeastStep },
		func(f *features) string {
			return "its clock is ahead of ours by at least " + phrase.Span(f.ahead) + ": reports come from the future"
		},
		weights{Controller: 5}},
	{func(f *features) bool { return f.alive },
		func(f *features) string {
			return fmt.Sprintf("its link answers, and for %s no report has come", phrase.Span(f.quiet))
		},
		weights{Controller: 4, Network: -3, Physical: -2}},
	{func(f *features) bool { return f.damaged },
		func(f *features) string {
			return fmt.Sprintf("%s failed their checksum in %s", phrase.Ratio(f.now.damaged, f.now.frames+f.now.damaged, "frames"), phrase.Span(f.window))
		},
		weights{Physical: 4, Network: -2, Gateway: -1, Controller: -1}},
	{func(f *features) bool { return f.fading() && (f.faded() || f.hampered()) },
		func(f *features) string {
			return fmt.Sprintf("the signal of %d of %d others at %s faded as well", f.site.weak, f.site.others, phrase.Named("site", f.site.name))
		},
		weights{Physical: 4, Network: -1, Controller: -2}},
	{(*features).badLine,
		func(f *features) string {
			return fmt.Sprintf("on the line %s failed their checksum, and %s seen", phrase.Ratio(f.port.damaged, f.port.frames+f.port.damaged, "frames"),
				phrase.Count(uint64(f.port.line), "framing, parity or break error was", "framing, parity or break errors were"))
		},
		weights{Physical: 4, Network: -2, Gateway: -1, Controller: -1}},
	{func(f *features) bool { return f.weak() && f.hasBase && f.drop >= f.limit },
		func(f *features) string {
			return fmt.Sprintf("%s, %.1f dB worse than its usual %.1f", f.measured(), f.drop, f.usual)
		},
		weights{Physical: 3.5, Network: -1, Controller: -1}},
	{func(f *features) bool { return f.quantity >= 0 && f.short > 0 },
		func(f *features) string {
			return fmt.Sprintf("%s, and this link needs %.1f", f.measured(), f.least)
		},
		weights{Physical: 2}},
	{func(f *features) bool { return f.trail },
		func(f *features) string { return "its frames or its signal got worse before it fell silent" },
		weights{Physical: 3}},
	{func(f *features) bool { return f.now.restarts > 0 },
		func(f *features) string { return "it began a new epoch: it lost its memory, or was restarted" },
		weights{Controller: 3}},
	{func(f *features) bool { return f.failing != "" },
		func(f *features) string { return "its source fails: " + f.failing },
		weights{Network: 2.5, Configuration: 2.5, Controller: -1}},
	{func(f *features) bool { return f.silent },
		func(f *features) string {
			if f.longest == 0 {
				return "it has not reported for " + phrase.Span(f.quiet)
			}
			return "it has not reported for " + phrase.Span(f.quiet) + ", and usually does within " + phrase.Span(f.longest)
		},
		weights{Controller: 1, Physical: 0.8, Network: 0.5, Gateway: -1, Store: -3}},
	{func(f *features) bool { return f.late && !f.silent },
		func(f *features) string {
			return fmt.Sprintf("its report is late: %s, and usually %s", phrase.Span(f.quiet), phrase.Span(f.longest))
		},
		weights{Network: 0.5, Controller: 0.5, Physical: 0.5}},
	{func(f *features) bool { return f.lossy },
		func(f *features) string {
			return fmt.Sprintf("%d of %d reports did not come in their turn", f.now.skipped, f.now.fresh+f.now.skipped)
		},
		weights{Network: 1, Physical: 0.8, Controller: -1}},
	{func(f *features) bool { return f.timeout },
		func(f *features) string {
			return fmt.Sprintf("%d times it did not answer in %s", f.now.timeouts, phrase.Span(f.window))
		},
		weights{Controller: 0.5, Physical: 0.5}},
	{func(f *features) bool { return f.slow },
		func(f *features) string {
			return "its reports take " + phrase.Span(f.delay) + " longer than the fastest did"
		},
		weights{Network: 1.5, Gateway: 0.3}},
	{(*features).shared,
		func(f *features) string {
			return fmt.Sprintf("%d of %d others at %s are in trouble too", f.site.ill, f.site.others, phrase.Named("site", f.site.name))
		},
		weights{Network: 3, Controller: -3, Physical: 0.5}},
	{func(f *features) bool { return f.hampered() && f.lineWide() },
		func(f *features) string {
			return fmt.Sprintf("%d of %d others on %s are in trouble too", f.line.ill, f.line.others, phrase.Named("line", f.line.name))
		},
		weights{Physical: 2.5, Controller: -3}},
	{func(f *features) bool { return f.hampered() && f.source.most(5) },
		func(f *features) string {
			return fmt.Sprintf("%d of %d others at the source %s are in trouble too", f.source.ill, f.source.others, f.source.name)
		},
		weights{Network: 1, Gateway: 1, Controller: -3, Physical: -2}},
	{func(f *features) bool { return f.hampered() && f.site.few() },
		func(f *features) string {
			return fmt.Sprintf("of %d others at %s %d are in trouble", f.site.others, phrase.Named("site", f.site.name), f.site.ill)
		},
		weights{Network: -2, Gateway: -3, Store: -3, Controller: 0.5, Physical: 0.5}},
	{func(f *features) bool { return f.fine() },
		func(f *features) string {
			if !f.hasBase {
				return f.measured() + ", which is enough"
			}
			return f.measured() + ", as usual"
		},
		weights{Physical: -2}},
	{func(f *features) bool {
		return f.now.frames >= 20 && f.now.damaged == 0 && f.now.frames > 0 && !f.badLine()
	},
		func(f *features) string { return fmt.Sprintf("none of its %d frames was damaged", f.now.frames) },
		weights{Physical: -1}},
	{func(f *features) bool { return f.node.stood < leastStall && f.now.reports > 0 && f.now.dwell < 0.1 },
		func(f *features) string {
			return "the gateway takes its reports within " + phrase.Span(float64(f.now.dwell))
		},
		weights{Gateway: -1.5}},
}

// measured tells the signal that counts, and that it is of before when it is.
func (f *features) measured() string {
	q, tense := signal.Quantities[f.quantity], "is"
	if f.stale {
		tense = "was, before it fell silent,"
	}
	return fmt.Sprintf("%s %s %.1f %s", q.Title(), tense, f.signal, q.Unit())
}

func refusedFor(f *features) string {
	return fmt.Sprintf("%d of its %d reports were refused, the last for its %s", f.now.refused, f.now.reports, f.reason)
}

// summer says what an hour means.
func summer(by float64) string {
	if math.Abs(math.Abs(by)-3600) <= 5 {
		return ", an hour: summer time"
	}
	return ""
}

// weigh fills in the evidence, the confidence and the advice of the verdict that a
// rule made.
func weigh(f *features, v *Verdict, r *rule) {
	score := map[Cause]float64{}
	for i := range observations {
		o := &observations[i]
		if !o.holds(f) {
			continue
		}
		for cause, w := range o.weight {
			score[cause] += w
		}
		w := o.weight[r.cause] + 0.5*o.weight[r.or]
		switch {
		case w > 0:
			v.For = append(v.For, o.says(f))
		case w < 0:
			v.Against = append(v.Against, o.says(f))
		}
	}
	p := odds(score)
	second := best(p, r.cause)
	if score[second] <= 0 {
		second = "" // nothing speaks for it
	}
	switch {
	case r.or != "":
		first, other := r.cause, r.or
		if p[other] > p[first] {
			first, other = other, first
		}
		v.Cause, v.Between, v.Confidence = Unclear, [2]Cause{first, other}, p[first]+p[other]
	case p[r.cause] < sure && second != "":
		v.Cause, v.Between, v.Confidence = Unclear, [2]Cause{r.cause, second}, p[r.cause]+p[second]
	default:
		v.Confidence = p[r.cause]
		v.Second = second
	}
	v.Confidence = math.Min(v.Confidence, 0.99) // nobody is surer than that from here
	v.Missing = missing(f)
	v.Next, v.Send = advice(v)
}

// sure is how likely a cause has to be to be named alone.
const sure = 0.6

// odds turns the weights into how likely each cause is.
func odds(score map[Cause]float64) map[Cause]float64 {
	const temper = 0.8
	p, sum := map[Cause]float64{}, 0.0
	for _, c := range causes {
		p[c] = math.Exp(temper * score[c])
		sum += p[c]
	}
	for c := range p {
		p[c] /= sum
	}
	return p
}

// best returns the likeliest cause but one.
func best(p map[Cause]float64, but Cause) Cause {
	var found Cause
	for _, c := range causes {
		if c != but && (found == "" || p[c] > p[found]) {
			found = c
		}
	}
	return found
}

// missing says what would help and is not known.
func missing(f *features) (all []string) {
	if f.quantity < 0 && !f.told {
		all = append(all, "the link tells no signal")
	}
	if f.known.Site == "" {
		all = append(all, "no site is known: import one, so that others there can be compared")
	}
	if f.now.aged == 0 && f.prior.aged == 0 && !f.silent {
		all = append(all, "its reports carry no time of its own clock")
	}
	return all
}
