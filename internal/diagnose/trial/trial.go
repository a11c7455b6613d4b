package trial

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/penstock/penstock/internal/diagnose"
)

// Case is what was wrong with one controller, and what was said of it.
type Case struct {
	Kind     Kind
	Label    diagnose.Cause
	Said     diagnose.Verdict
	Baseline string // what a gateway with four states says: ok, timeout, exception, line fault
}

// The course of a run.
const (
	settling = 15 * time.Minute // the plant is well, and its rhythm is learned
	lasting  = 5 * time.Minute
	sampled  = 10 // controllers of a run that count, and as many that are well
)

// Run injects one fault and returns what was said at its end of those that it took,
// and of some that it did not.
func Run(kind Kind, seed uint64) []Case {
	w := newWorld(seed)
	from := w.now.Add(settling + w.upTo(time.Minute))
	to := from.Add(lasting)
	w.run(from)
	w.fault = newFault(w, kind, from, to.Add(time.Hour))
	w.fault.begin(w)
	w.run(to)
	taken := w.fault.affected(w)
	var cases []Case
	add := func(units []*unit, label diagnose.Cause) {
		w.random.Shuffle(len(units), func(i, j int) { units[i], units[j] = units[j], units[i] })
		for _, u := range units[:min(sampled, len(units))] {
			d, _ := w.watch.Detail(u.name, w.now)
			cases = append(cases, Case{kind, label, d.Verdict, fourStates(&d, u)})
		}
	}
	well := slices.DeleteFunc(slices.Clone(w.units), func(u *unit) bool { return slices.Contains(taken, u) })
	add(taken, kind.Label())
	add(well, diagnose.Healthy)
	return cases
}

// fourStates is what a gateway says that knows answers, timeouts, exceptions and
// damaged frames, and nothing of who else is in trouble.
func fourStates(d *diagnose.Detail, u *unit) string {
	switch {
	case d.Now.Exceptions > 0:
		return "exception"
	case d.Now.Damaged > 0:
		return "line fault"
	case d.Now.Timeouts > 0 || d.Now.Fresh == 0:
		return "timeout"
	}
	return "ok"
}

// Healthy runs a plant that is well for as many controller-hours, and returns how
// many verdicts other than ok were begun.
func Healthy(hours float64, seed uint64) (wrong int, said []diagnose.Verdict) {
	w := newWorld(seed)
	bad := map[string]bool{}
	w.judged = func() {
		for _, u := range w.units {
			d, _ := w.watch.Detail(u.name, w.now)
			is := d.Verdict.Cause != diagnose.Healthy && d.Verdict.Cause != ""
			if is && !bad[u.name] {
				wrong++
				said = append(said, d.Verdict)
			}
			bad[u.name] = is
		}
	}
	w.run(w.now.Add(time.Duration(hours / Fleet * float64(time.Hour))))
	return wrong, said
}

// Score sums cases up.
type Score struct {
	Matrix   map[diagnose.Cause]map[diagnose.Cause]int // by label and by what was said
	Baseline map[diagnose.Cause]map[string]int
	Cases    int
}

// labels in the order of the matrix.
//
//lint:table
func labels() []diagnose.Cause {
	return []diagnose.Cause{diagnose.Healthy, diagnose.Physical, diagnose.Controller, diagnose.Network, diagnose.Gateway, diagnose.Store}
}

// Add takes cases in.
func (s *Score) Add(cases []Case) {
	if s.Matrix == nil {
		s.Matrix, s.Baseline = map[diagnose.Cause]map[diagnose.Cause]int{}, map[diagnose.Cause]map[string]int{}
		for _, l := range labels() {
			s.Matrix[l], s.Baseline[l] = map[diagnose.Cause]int{}, map[string]int{}
		}
	}
	for _, c := range cases {
		s.Cases++
		s.Matrix[c.Label][c.Said.Cause]++
		s.Baseline[c.Label][c.Baseline]++
	}
}

// f1 returns the mean of F1 over the labels; said returns how often something was
// said of a label, and of all.
func f1(said func(label, as diagnose.Cause) int) float64 {
	sum := 0.0
	for _, l := range labels() {
		right, answered, real := said(l, l), 0, 0
		for _, other := range append(labels(), diagnose.Configuration, diagnose.Unclear) {
			real += said(l, other)
			answered += said(other, l)
		}
		if right > 0 {
			sum += 2 * float64(right) / float64(answered+real)
		}
	}
	return sum / float64(len(labels()))
}

// MacroF1 returns the mean of F1 over the causes and ok; a verdict that is unclear
// is a miss.
func (s *Score) MacroF1() float64 {
	return f1(func(label, as diagnose.Cause) int { return s.Matrix[label][as] })
}

// BaselineF1 is that of the four states, with the kindest meaning of each.
func (s *Score) BaselineF1() float64 {
	means := map[diagnose.Cause]string{
		diagnose.Healthy: "ok", diagnose.Physical: "line fault", diagnose.Controller: "exception", diagnose.Network: "timeout",
	}
	return f1(func(label, as diagnose.Cause) int { return s.Baseline[label][means[as]] })
}

// PhysicalAgainstSoftware returns the share of answers, about faults that are
// physical or in the software, that do not take one for the other.
func (s *Score) PhysicalAgainstSoftware() (share float64, answers int) {
	software := []diagnose.Cause{diagnose.Gateway, diagnose.Store}
	wrong := 0
	for _, l := range append(software, diagnose.Physical) {
		for _, as := range append(software, diagnose.Physical, diagnose.Controller, diagnose.Network, diagnose.Configuration) {
			n := s.Matrix[l][as]
			answers += n
			if slices.Contains(software, l) && as == diagnose.Physical || l == diagnose.Physical && slices.Contains(software, as) {
				wrong += n
			}
		}
	}
	if answers == 0 {
		return 0, 0
	}
	return 1 - float64(wrong)/float64(answers), answers
}

// Write prints the matrices.
func (s *Score) Write(to io.Writer) error {
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	said := append(labels(), diagnose.Configuration, diagnose.Unclear)
	states := []string{"ok", "timeout", "exception", "line fault"}
	fmt.Fprint(t, "what it was \\ what was said\t")
	for _, c := range said {
		fmt.Fprintf(t, "%s\t", c)
	}
	fmt.Fprint(t, "|\t")
	for _, c := range states {
		fmt.Fprintf(t, "%s\t", c)
	}
	fmt.Fprintln(t)
	for _, l := range labels() {
		fmt.Fprintf(t, "%s\t", l)
		for _, c := range said {
			fmt.Fprintf(t, "%d\t", s.Matrix[l][c])
		}
		fmt.Fprint(t, "|\t")
		for _, c := range states {
			fmt.Fprintf(t, "%d\t", s.Baseline[l][c])
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	share, answers := s.PhysicalAgainstSoftware()
	_, err := fmt.Fprintf(to, "%d cases; macro-F1 %.3f, of the four states %.3f; physical and software told apart in %.4f of %d answers\n",
		s.Cases, s.MacroF1(), s.BaselineF1(), share, answers)
	return err
}
