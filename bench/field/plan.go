package field

import (
	"fmt"
	"time"

	"github.com/penstock/penstock"
)

// A plan is what one controller sends, as a pure function of its seq.
type plan struct {
	name   string
	number uint64 // in the whole fleet
	every  time.Duration
	phase  time.Duration // of its reports, within every
	points int
	event  bool // sends what changed, a tenth of its points
}

// Of a hundred controllers one is a substation, which reports every 2 s, and the
// others report every 10 s. 60 % of those have 24 points, 30 % have 60, 9 % have
// 200 and 1 % has 1,000. A tenth tells only what changed.
const (
	usual            = 10 * time.Second
	often            = 2 * time.Second
	substationPoints = 500
	changedOf        = 10
)

// newPlan returns the plan of the n-th controller of a protocol, whose names begin
// with prefix. Any hundred in a row have the whole mix.
func newPlan(prefix string, n int, number uint64) plan {
	p := plan{name: fmt.Sprintf("%s-%04d", prefix, n), number: number, every: usual, points: 24}
	switch class := n * 37 % 100; {
	case class == 0:
		p.points, p.every = substationPoints, often
	case class == 1:
		p.points = 1000
	case class <= 10:
		p.points = 200
	case class <= 40:
		p.points = 60
	}
	p.event = p.every == usual && n%changedOf == 5
	p.phase = time.Duration(mix(number, 0, 0)%uint64(p.every.Milliseconds())) * time.Millisecond
	return p
}

// due returns when a report is made, after the fleet's start. That is the time of
// its samples too.
func (p *plan) due(seq uint64) time.Duration { return p.phase + time.Duration(seq-1)*p.every }

// made returns how many reports are made up to a time after the start.
func (p *plan) made(since time.Duration) uint64 {
	if since < p.phase {
		return 0
	}
	return uint64((since-p.phase)/p.every) + 1
}

// seqAt is the inverse of due.
func (p *plan) seqAt(since time.Duration) (uint64, bool) {
	seq := p.made(since)
	return seq, seq > 0 && p.due(seq) == since
}

// has tells whether a report has a sample of the point.
func (p *plan) has(point int, seq uint64) bool {
	return !p.event || seq == 1 || (uint64(point)+seq)%changedOf == 0
}

// samples returns how many samples the reports up to seq have.
func (p *plan) samples(seq uint64) int64 {
	if !p.event {
		return int64(seq) * int64(p.points)
	}
	var n int64
	for s := uint64(1); s <= seq; s++ {
		for point := range p.points {
			if p.has(point, s) {
				n++
			}
		}
	}
	return n
}

func pointName(point int) string { return fmt.Sprintf("bay-%02d/signal-%02d", point/24, point%24) }

// value returns what a point has in a report: of a hundred points 60 measure, 30
// say yes or no, 8 count and 2 are texts.
func (p *plan) value(point int, seq uint64) penstock.Value {
	switch kind := point * 29 % 100; {
	case kind < 60:
		// A sum of sixteenths that is never whole, and exact in a float of 32 bits.
		return penstock.FloatValue(float64(mix(p.number, uint64(point), seq)%100_000*2+1) / 16)
	case kind < 90:
		return penstock.BoolValue(mix(p.number, uint64(point), seq/6)%2 == 0)
	case kind < 98:
		return penstock.IntValue(int64(mix(p.number, uint64(point), 0)%1_000_000) + int64(seq))
	}
	return penstock.TextValue([...]string{"off", "local", "remote", "in service"}[mix(p.number, uint64(point), seq/10)%4])
}

// make makes a report, in place of what was in r.
func (p *plan) make(r *penstock.Report, start time.Time, seq uint64) {
	r.Controller, r.Identity.Seq = p.name, seq
	r.Samples = r.Samples[:0]
	at := start.Add(p.due(seq)).UnixNano()
	for point := range p.points {
		if p.has(point, seq) {
			r.Samples = append(r.Samples, penstock.Sample{Point: pointName(point), SourceTime: at, Value: p.value(point, seq)})
		}
	}
}

// mix returns a number that looks random and depends on its arguments (the
// finalizer of SplitMix64, chained).
func mix(a, b, c uint64) uint64 {
	var h uint64
	for _, part := range [...]uint64{a, b, c} {
		h = (h ^ part) + 0x9E3779B97F4A7C15
		h = (h ^ h>>30) * 0xBF58476D1CE4E5B9
		h = (h ^ h>>27) * 0x94D049BB133111EB
		h ^= h >> 31
	}
	return h
}
