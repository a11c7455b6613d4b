// Package commission checks a new connection to a controller for a while: whether
// reports come, the signal, the checksums, the sequence, the clock, and each point.
// It gives a record to keep.
package commission

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/diagnose"
	"github.com/penstock/penstock/internal/diagnose/signal"
	"github.com/penstock/penstock/internal/evidence"
)

// Result is what came out of a check.
type Result string

// The results.
const (
	Pass    Result = "pass"
	Fail    Result = "fail"
	Unknown Result = "unknown" // the link does not tell
)

// Check is one of the checks of a record.
type Check struct {
	Name   string
	Result Result
	Says   string // with figures
}

// Record is what is kept of a commissioning.
type Record struct {
	ID         string
	Controller string
	Site       string
	Line       string
	Source     string
	LinkType   string
	By         string // the credential that asked for it
	Begun      time.Time
	Ends       time.Time
	Done       bool
	Passed     bool
	Checks     []Check
}

// Order is what is to be checked.
type Order struct {
	Controller diagnose.Known
	Points     []string // that are known beforehand
	Margins    []signal.Margin
	LinkType   string
	By         string
	For        time.Duration
	Every      time.Duration // the longest that each point may be away; 0 for once at all
	Book       *evidence.Book
}

// session is a commissioning under way.
type session struct {
	order      Order
	record     Record
	page, port counts
	reports    int
	refused    map[penstock.Reason]int
	points     map[string]sighting
	numbers    numbers
	ages       []float64 // seconds
}

// maxSeen bounds the points and the ages that are kept.
const maxSeen = 10_000

// sighting is when a point was seen.
type sighting struct {
	last    time.Time
	longest time.Duration // between two sightings
}

// numbers follows a sequence.
type numbers struct {
	epoch, first, newest uint64
	seen                 map[uint64]bool
	restarts             int
	other                bool // reports without a number came
}

type counts struct{ received, damaged, line uint64 }

func read(p *evidence.Page, ok bool) counts {
	if !ok {
		return counts{}
	}
	return counts{
		p.Counted(evidence.Received), p.Counted(evidence.Checksum),
		p.Counted(evidence.Framing) + p.Counted(evidence.Parity) + p.Counted(evidence.Break),
	}
}

func (o *Order) read() (page, port counts) {
	page = read(o.Book.FindController(o.Controller.Name))
	if o.Controller.Port != "" {
		port = read(o.Book.FindPort(o.Controller.Port))
	}
	return page, port
}

func begin(o Order, now time.Time) *session {
	k := o.Controller
	s := &session{order: o, refused: map[penstock.Reason]int{}, points: map[string]sighting{}, numbers: numbers{seen: map[uint64]bool{}}}
	s.record = Record{
		ID: fmt.Sprintf("%s@%d", k.Name, now.UnixMilli()), Controller: k.Name, Site: k.Site, Line: k.Line, Source: k.Source, LinkType: o.LinkType, By: o.By,
		Begun: now, Ends: now.Add(o.For),
	}
	s.page, s.port = o.read()
	return s
}

// report takes a report in.
func (s *session) report(r *penstock.Report, reason penstock.Reason) {
	if reason != "" {
		s.refused[reason]++
		return
	}
	s.reports++
	s.numbers.take(r.Identity)
	at := time.Unix(0, r.ReceivedTime)
	newest := int64(0)
	for i := range r.Samples {
		sample := &r.Samples[i]
		if sample.Flags&(penstock.GatewayClock|penstock.Historical) == 0 {
			newest = max(newest, sample.SourceTime)
		}
		seen, known := s.points[sample.Point]
		if !known && len(s.points) >= maxSeen {
			continue
		}
		since := s.record.Begun
		if known {
			since = seen.last
		}
		s.points[strings.Clone(sample.Point)] = sighting{at, max(seen.longest, at.Sub(since))}
	}
	if newest != 0 && len(s.ages) < maxSeen {
		s.ages = append(s.ages, float64(r.ReceivedTime-newest)/1e9)
	}
}

func (n *numbers) take(id penstock.Identity) {
	if id.Form != penstock.Sequence {
		n.other = true
		return
	}
	if id.Epoch != n.epoch {
		if n.epoch != 0 {
			n.restarts++
		}
		*n = numbers{epoch: id.Epoch, first: id.Seq, newest: id.Seq, seen: map[uint64]bool{}, restarts: n.restarts, other: n.other}
	}
	if id.Seq < n.first || n.seen[id.Seq] || len(n.seen) >= 4*maxSeen {
		return // of the time before, or again
	}
	n.seen[id.Seq] = true
	n.newest = max(n.newest, id.Seq)
}

// missing returns how many numbers did not come.
func (n *numbers) missing() uint64 {
	if len(n.seen) == 0 || len(n.seen) >= 4*maxSeen {
		return 0
	}
	return n.newest - n.first + 1 - uint64(len(n.seen))
}

// finish makes the record.
func (s *session) finish(now time.Time) Record {
	r := s.record
	r.Done, r.Ends = true, now
	r.Checks = []Check{s.arrival(), s.checksums()}
	r.Checks = append(r.Checks, s.signals()...)
	r.Checks = append(r.Checks, s.sequence(), s.clock(), s.seen(now))
	r.Passed = !slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Result == Fail })
	return r
}

func verdict(ok bool) Result {
	if ok {
		return Pass
	}
	return Fail
}

// least is how many reports it takes to say anything.
const least = 3

func (s *session) arrival() Check {
	says := fmt.Sprintf("%d reports were taken in %s", s.reports, s.order.For)
	refused := 0
	var why []string
	for reason, n := range s.refused {
		refused += n
		why = append(why, fmt.Sprintf("%d for %s", n, reason))
	}
	if slices.Sort(why); refused > 0 {
		says += ", and refused: " + strings.Join(why, ", ")
	}
	if s.reports < least {
		says += fmt.Sprintf("; it takes %d to judge: check for longer, or see 'penstock diagnose %s'", least, s.order.Controller.Name)
	}
	return Check{"reports", verdict(s.reports >= least && refused == 0), says}
}

// checksums holds damaged frames against whole ones, of the controller and of its
// line.
func (s *session) checksums() Check {
	page, port := s.order.read()
	whole := page.received - s.page.received + port.received - s.port.received
	bad := page.damaged - s.page.damaged + port.damaged - s.port.damaged
	line := port.line - s.port.line
	if whole+bad == 0 {
		return Check{"checksum errors", Unknown, "this kind of link counts no frames"}
	}
	const most = 0.005
	ok := float64(bad) <= most*float64(whole+bad) && line == 0
	return Check{"checksum errors", verdict(ok), fmt.Sprintf("%d of %d frames failed their checksum (at most %.1f %%), and %d framing, parity or break errors were seen (none)", bad, whole+bad, 100*most, line)}
}

func (s *session) signals() (checks []Check) {
	page, ok := s.order.Book.FindController(s.order.Controller.Name)
	for _, m := range s.order.Margins {
		if !ok {
			break
		}
		worst, n := math.NaN(), 0
		for _, r := range page.Readings(m.Quantity) {
			if r.Time.Before(s.record.Begun) {
				continue
			}
			if n++; n == 1 || m.Most == (r.Value > worst) {
				worst = r.Value
			}
		}
		if n == 0 {
			continue
		}
		word, good := "at least", worst >= m.Limit
		if m.Most {
			word, good = "at most", worst <= m.Limit
		}
		unit := m.Quantity.Unit()
		checks = append(checks, Check{"signal " + string(m.Quantity), verdict(good), fmt.Sprintf("the worst of %d readings is %.1f %s (%s %.1f)", n, worst, unit, word, m.Limit)})
	}
	if len(checks) == 0 {
		checks = []Check{{"signal", Unknown, "the link told no signal: measure it, and keep the figure with this record"}}
	}
	return checks
}

func (s *session) sequence() Check {
	n := &s.numbers
	switch {
	case len(n.seen) == 0:
		return Check{"sequence", Unknown, "its reports carry no numbers: what is lost on the way cannot be seen"}
	case n.restarts > 0:
		return Check{"sequence", Fail, fmt.Sprintf("it began a new epoch %d times: it loses its memory or restarts", n.restarts)}
	}
	return Check{"sequence", verdict(n.missing() == 0), fmt.Sprintf("numbers %d to %d: %d missing", n.first, n.newest, n.missing())}
}

func (s *session) clock() Check {
	if len(s.ages) == 0 {
		return Check{"clock", Unknown, "its reports carry no time of its own clock"}
	}
	const ahead, behind = 1.0, 5.0
	low := slices.Min(s.ages)
	text := fmt.Sprintf("by its own clock its fastest report took %.2f s (more than -%.0f s, at most %.0f s)", low, ahead, behind)
	return Check{"clock", verdict(low > -ahead && low <= behind), text}
}

// seen tells whether each point was seen, and often enough.
func (s *session) seen(now time.Time) Check {
	var bad []string
	note := func(name, why string) { bad = append(bad, fmt.Sprintf("%s (%s)", name, why)) }
	for _, name := range s.order.Points {
		if _, ok := s.points[name]; !ok {
			note(name, "never")
		}
	}
	for name, seen := range s.points {
		if longest := max(seen.longest, now.Sub(seen.last)); s.order.Every > 0 && longest > s.order.Every+s.order.Every/2 {
			note(name, "away for "+longest.Round(100*time.Millisecond).String())
		}
	}
	if slices.Sort(bad); len(bad) == 0 {
		return Check{"points", verdict(len(s.points) > 0), fmt.Sprintf("each of %d points was seen in its time", len(s.points))}
	}
	const shown = 10
	more := ""
	if len(bad) > shown {
		more = fmt.Sprintf(" and %d more", len(bad)-shown)
	}
	return Check{"points", Fail, fmt.Sprintf("%d of %d points were not seen in their time: %s%s", len(bad), max(len(s.points), len(s.order.Points)), strings.Join(bad[:min(shown, len(bad))], ", "), more)}
}
