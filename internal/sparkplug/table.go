package sparkplug

import (
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
)

// A report is split where it would come near its limits.
const (
	maxSamples = 5000
	maxBytes   = 512 << 10
)

// ambiguous stands for an alias that a birth gave to two metrics.
const ambiguous = -1

// table is the metrics of an edge node or a device, as its birth told them.
type table struct {
	controller string
	born       bool // the aliases hold
	entries    []entry
	byAlias    map[uint64]int
	byName     map[string]int
	unresolved int // metrics of the last message that no birth explains
}

type entry struct {
	point    string
	datatype datatype
}

// usable tells whether the metric gives samples.
func (e entry) usable() bool {
	return e.datatype.carried() && isPoint(e.point) && penstock.CheckPointName(e.point) == nil
}

// birth fills the table with the metrics of a birth.
func (h *Host) birth(t *table, d *delivery) {
	h.entries -= len(t.entries)
	*t = table{controller: d.controller, born: true, byAlias: map[uint64]int{}, byName: map[string]int{}}
	beyond, clashes := 0, 0
	for i := range d.payload.metrics {
		m := &d.payload.metrics[i]
		if m.name == "" {
			continue // [Host.reports] counts it
		}
		if h.entries >= h.settings.metrics {
			beyond++
			continue
		}
		if m.aliased {
			at := len(t.entries)
			if _, taken := t.byAlias[m.alias]; taken {
				at = ambiguous
				clashes++
			}
			t.byAlias[m.alias] = at
		}
		t.byName[m.name] = len(t.entries)
		t.entries = append(t.entries, entry{m.name, m.datatype})
		h.entries++
	}
	if beyond > 0 {
		h.event(evidence.Refused, beyond, d.controller, "%d metrics are followed already: raise max_metrics", h.settings.metrics)
	}
	if clashes > 0 {
		h.event(evidence.Malformed, clashes, d.controller, "the birth of %s gives one alias to several metrics", d.controller)
	}
}

// find returns the entry of a metric, by its name or by its alias.
func (t *table) find(m *metric) (entry, bool) {
	if m.name != "" {
		if at, known := t.byName[m.name]; known {
			return t.entries[at], true
		}
		return entry{m.name, m.datatype}, m.datatype != 0
	}
	if at, known := t.byAlias[m.alias]; m.aliased && t.born && known && at != ambiguous {
		return t.entries[at], true
	}
	return entry{}, false
}

// reports returns the reports of a birth or of data.
func (h *Host) reports(t *table, d *delivery) []penstock.Report {
	b := builder{controller: t.controller, received: h.now.UnixNano()}
	var faults, foreign int
	var fault, unfit string
	for i := range d.payload.metrics {
		m := &d.payload.metrics[i]
		e, ok := t.find(m)
		if !ok && isPoint(m.name) {
			t.unresolved++
		}
		if !ok || m.transient || !isPoint(e.point) {
			continue
		}
		if m.datatype != 0 {
			e.datatype = m.datatype
		}
		if !e.datatype.carried() {
			foreign, unfit = foreign+1, e.point
			continue
		}
		s, err := e.sample(m, d.payload.stamp, h.now)
		if err != nil {
			faults, fault = faults+1, err.Error()
			continue
		}
		b.add(s)
	}
	if faults > 0 {
		h.event(evidence.Malformed, faults, d.controller, "%d metrics of %s cannot be read; one of them: %s", faults, d.controller, fault)
	}
	if foreign > 0 {
		h.event(evidence.Refused, foreign, d.controller, "%d metrics of %s are tables, templates, bytes or arrays, which a point cannot be; one of them is %q", foreign, d.controller, unfit)
	}
	return b.reports
}

// sample returns a metric as a sample of its point.
func (e entry) sample(m *metric, message stamp, now time.Time) (penstock.Sample, error) {
	s := penstock.Sample{Point: e.point}
	if err := penstock.CheckPointName(e.point); err != nil {
		return s, err
	}
	var err error
	if s.Value, err = e.datatype.value(m); err != nil {
		return s, penstock.Errorf(penstock.CodeOf(err), "metric %q: %w", e.point, err)
	}
	at := m.stamp
	if !at.known() {
		at = message
	}
	if s.SourceTime, s.Flags, err = at.time(now); err != nil {
		return s, penstock.Errorf(penstock.Invalid, "metric %q: %w", e.point, err)
	}
	if m.historical {
		s.Flags |= penstock.Historical
	}
	s.Status, s.Native = statusOf(m, s.Value), m.quality
	return s, nil
}

// known tells whether there is a time: 0 is what senders without a clock put in.
func (s stamp) known() bool { return s.given && s.millis > 0 }

// time returns nanoseconds since 1970, by the gateway's clock when there is no
// time.
func (s stamp) time(now time.Time) (int64, penstock.SampleFlags, error) {
	if !s.known() {
		return now.UnixNano(), penstock.GatewayClock, nil
	}
	if s.millis > maxMillis {
		return 0, 0, penstock.Errorf(penstock.Invalid, "the time %d is beyond the year 2262", s.millis)
	}
	return int64(s.millis) * 1_000_000, 0, nil
}

// lost returns the reports that say that there is no communication with the
// points of the table any more.
func (t *table) lost(at stamp, now time.Time) []penstock.Report {
	nanos, flags, err := at.time(now)
	if err != nil {
		nanos, flags = now.UnixNano(), penstock.GatewayClock
	}
	b := builder{controller: t.controller, received: now.UnixNano()}
	for _, e := range t.entries {
		if e.usable() {
			b.add(penstock.Sample{Point: e.point, SourceTime: nanos, Status: penstock.BadNoCommunication, Flags: flags})
		}
	}
	return b.reports
}

// builder puts samples into reports.
type builder struct {
	controller string
	received   int64
	reports    []penstock.Report
	bytes      int // of the last report, about
}

func (b *builder) add(s penstock.Sample) {
	size := len(s.Point) + len(s.Value.Text()) + 40
	last := len(b.reports) - 1
	if last < 0 || len(b.reports[last].Samples) >= maxSamples || b.bytes+size > maxBytes {
		b.reports = append(b.reports, penstock.Report{Controller: b.controller, ReceivedTime: b.received})
		b.bytes = 0
		last++
	}
	b.reports[last].Samples = append(b.reports[last].Samples, s)
	b.bytes += size
}
