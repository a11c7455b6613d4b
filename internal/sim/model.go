package sim

import (
	"fmt"
	"math"
	"time"

	"github.com/penstock/penstock"
)

// MaxPoints is how many points a simulated controller has at most: a report's
// points are bits of a uint64 in the checker.
const MaxPoints = 64

// maxControllers bounds a fleet.
const maxControllers = 1_000_000

const badSensorFailure penstock.Status = 0x808C0000

// ModelOptions say what a fleet consists of and when it reports.
type ModelOptions struct {
	Seed        uint64
	Controllers int           // 1 to 1,000,000
	Kind        string        // only controllers of this kind ("pump station", "tank", "source", "logger"); empty: all
	Epoch       uint64        // of every controller's sequence; 1 when 0
	Start       time.Time     // the fleet's first reports fall into the first interval after it
	Interval    time.Duration // from one report of a controller to its next; at least 1 ms
	Speed       int           // seconds of the network's day that pass in one second, 1 to 3600; 1 when 0
}

// A Model is what every controller of a fleet reports, as a pure function of
// the seed, the controller, the seq and the point. It is safe for concurrent
// use.
type Model struct {
	seed  uint64
	epoch uint64
	start int64
	every int64 // nanoseconds
	speed int64
	day   int64 // nanoseconds of the network's day
	step  int64 // nanoseconds between its values
	sites []site
}

// A site is one simulated controller: a station of the network, or a copy of
// one with another name, time of day and size.
type site struct {
	*station
	name   string
	phase  int64 // nanoseconds from an interval's start to the report
	shift  int64 // nanoseconds that the site's day is ahead of the network's
	factor int64 // size in per mille of the original
	base   uint64
}

// NewModel returns the model of a fleet. The error's code is Invalid when an
// option is out of its range.
func NewModel(o ModelOptions) (*Model, error) {
	n, err := town()
	if err != nil {
		return nil, err
	}
	if o.Controllers < 1 || o.Controllers > maxControllers {
		return nil, penstock.Errorf(penstock.Invalid, "a fleet has 1 to %d controllers, not %d", maxControllers, o.Controllers)
	}
	if o.Interval < tick || o.Interval%tick != 0 {
		return nil, penstock.Errorf(penstock.Invalid, "the interval between two reports is a whole number of milliseconds, not %v", o.Interval)
	}
	if o.Speed < 0 || o.Speed > 3600 {
		return nil, penstock.Errorf(penstock.Invalid, "the speed is 1 to 3600, not %d", o.Speed)
	}
	m := &Model{
		seed: o.Seed, epoch: max(o.Epoch, 1), start: o.Start.Truncate(tick).UnixNano(), every: int64(o.Interval),
		speed: int64(max(o.Speed, 1)), step: n.step * int64(time.Second),
	}
	m.day = m.step * int64(n.steps)
	var chosen []*station
	for i := range n.stations {
		if o.Kind == "" || o.Kind == n.stations[i].kind {
			chosen = append(chosen, &n.stations[i])
		}
	}
	if len(chosen) == 0 {
		return nil, penstock.Errorf(penstock.Invalid, "the network has no controllers of the kind %q", o.Kind)
	}
	m.sites = make([]site, o.Controllers)
	for i := range m.sites {
		m.sites[i] = m.newSite(chosen[i%len(chosen)], uint64(i), i/len(chosen))
	}
	return m, nil
}

// newSite returns the controller with number i, the copy-th of a station.
func (m *Model) newSite(st *station, i uint64, copy int) site {
	s := site{station: st, name: st.name, factor: 1000, base: counterBase(mix(m.seed, i, 3, 0))}
	s.phase = int64(mix(m.seed, i, 1, 0)%uint64(m.every/int64(tick))) * int64(tick)
	if copy > 0 {
		s.name = fmt.Sprintf("%s-%04d", st.name, copy+1)
		s.shift = int64(mix(m.seed, i, 2, 0) % uint64(m.day))
		s.factor = 800 + int64(mix(m.seed, i, 4, 0)%451)
	}
	return s
}

// counterBase is what a counter showed when the fleet started: most are young,
// some are beyond what a float64 or an int64 can count exactly.
func counterBase(h uint64) uint64 {
	switch low := h >> 32; h % 8 {
	case 0:
		return 1<<63 + low
	case 1, 2:
		return 1<<60 + low
	default:
		return low
	}
}

// Controllers returns how many controllers the fleet has.
func (m *Model) Controllers() int { return len(m.sites) }

// Interval returns the time from one report of a controller to its next.
func (m *Model) Interval() time.Duration { return time.Duration(m.every) }

// Start returns the time at which the fleet starts, in nanoseconds since 1970
// UTC. No source time is before it.
func (m *Model) Start() int64 { return m.start }

// Name returns the name of a controller.
func (m *Model) Name(controller int) string { return m.sites[controller].name }

// Points returns how many points every report of the controller has.
func (m *Model) Points(controller int) int { return len(m.sites[controller].points) }

// PointName returns the name of a controller's point.
func (m *Model) PointName(controller, point int) string {
	return m.sites[controller].points[point].name
}

// tick is how fine the clocks of the controllers are: most protocols of the field
// have milliseconds.
const tick = time.Millisecond

// SourceTime returns the time on the controller's clock at which it reads the
// points of a report, in whole milliseconds. Times grow with seq and are all different.
func (m *Model) SourceTime(controller int, seq uint64) int64 {
	jitter := mix(m.seed, uint64(controller), 5, seq) % max(1, uint64(m.every/4/int64(tick))) * uint64(tick)
	return m.start + m.sites[controller].phase + int64(seq-1)*m.every + int64(jitter)
}

// SeqAt is the inverse of SourceTime. It returns false for a time at which the
// controller reads nothing.
func (m *Model) SeqAt(controller int, sourceTime int64) (uint64, bool) {
	since := sourceTime - m.start - m.sites[controller].phase
	if since < 0 {
		return 0, false
	}
	seq := uint64(since/m.every) + 1
	return seq, m.SourceTime(controller, seq) == sourceTime
}

// Report fills r with a controller's report; it reuses r's samples.
func (m *Model) Report(r *penstock.Report, controller int, seq uint64) {
	r.Controller = m.sites[controller].name
	r.Identity = penstock.SequenceIdentity(m.epoch, seq)
	r.Samples = r.Samples[:0]
	for p := range m.sites[controller].points {
		r.Samples = append(r.Samples, m.Sample(controller, seq, p))
	}
}

// Sample returns one sample of a report.
func (m *Model) Sample(controller int, seq uint64, point int) penstock.Sample {
	s := &m.sites[controller]
	p := &s.points[point]
	sample := penstock.Sample{Point: p.name, SourceTime: m.SourceTime(controller, seq), Unit: p.unit}
	h := mix(m.seed, uint64(controller)<<8|uint64(point), 6, seq)
	switch h % 1009 {
	case 0:
		sample.Status = badSensorFailure
		return sample
	case 1, 2:
		sample.Status = penstock.UncertainLastUsableValue
	}
	sample.Value = m.value(s, p, seq, h>>32)
	return sample
}

// value replays the point at the site's time of day. All arithmetic is in whole
// numbers, so that it gives the same bits on every machine.
func (m *Model) value(s *site, p *series, seq, noise uint64) penstock.Value {
	now := s.shift + s.phase + int64(seq-1)*m.every*m.speed
	cycle, now := now/m.day, now%m.day
	i, part, step := int(now/m.step), now%m.step/1e6, m.step/1e6
	switch p.kind {
	case pointBool:
		return penstock.BoolValue(p.values[i] == 1)
	case pointText:
		return penstock.TextValue(p.texts[p.values[i]])
	case pointInt:
		return penstock.IntValue(p.values[i])
	case pointCounter:
		return counterValue(s.base + uint64(p.counted(cycle, i, part, step)*s.factor/1000))
	}
	here, next := p.values[i], p.values[(i+1)%len(p.values)]
	n := (here + (next-here)*part/step) * s.factor / 1000
	if here != 0 || next != 0 { // a machine that stands still measures a clean zero
		n += int64(noise%4)/3 - int64(noise/4%4)/3
	}
	if n == 0 && noise%64 == 0 {
		return penstock.FloatValue(math.Copysign(0, -1))
	}
	return penstock.FloatValue(float64(n) / pow10(p.decimals))
}

// counted returns how far a counter has come since its first day.
func (p *series) counted(cycle int64, i int, part, step int64) int64 {
	total := p.values[len(p.values)-1]
	next := total + p.values[0]
	if i+1 < len(p.values) {
		next = p.values[i+1]
	}
	here := p.values[i]
	return cycle*total + here + (next-here)*part/step
}

// counterValue returns n in the kind that JSON gives a whole number.
func counterValue(n uint64) penstock.Value {
	if n > math.MaxInt64 {
		return penstock.UintValue(n)
	}
	return penstock.IntValue(int64(n))
}

func pow10(n int) float64 {
	f := 1.0
	for range n {
		f *= 10
	}
	return f
}

// mix returns a number that looks random and depends on all of its arguments
// (the finalizer of SplitMix64, chained).
func mix(seed, a, b, c uint64) uint64 {
	h := seed
	for _, part := range [...]uint64{a, b, c} {
		h = (h ^ part) + 0x9E3779B97F4A7C15
		h = (h ^ h>>30) * 0xBF58476D1CE4E5B9
		h = (h ^ h>>27) * 0x94D049BB133111EB
		h ^= h >> 31
	}
	return h
}
