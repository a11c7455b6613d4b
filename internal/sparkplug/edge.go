package sparkplug

import (
	"cmp"
	"strings"
	"time"

	"github.com/penstock/penstock"
)

// MaxEdgeMetrics is how many metrics an edge node tells of, at most: those of all its
// devices.
const MaxEdgeMetrics = 250_000

// Edge is an edge node that speaks for controllers: each is a device, each of its
// points a metric. It knows what was told since the last birth. It does no I/O, and is
// not safe for concurrent use.
type Edge struct {
	group, node string
	bdSeq       uint8 // of the session
	seq         uint8 // of the next message
	devices     []*edgeDevice
	byName      map[string]*edgeDevice
	metrics     int
	most        int // bytes of a payload; 0 for no limit
}

// edgeDevice is a controller as a device.
type edgeDevice struct {
	name    string
	born    bool // in this session, with all that is in metrics
	metrics []edgeMetric
	byPoint map[string]int
}

// edgeMetric is a point as a metric, and the newest that is known of it.
type edgeMetric struct {
	alias    uint64
	point    string
	unit     string
	datatype datatype
	latest   penstock.Sample
}

// NewEdge returns an edge node without devices. Before is the number of its session before
// this process. Errors have code [penstock.Invalid].
func NewEdge(group, node string, before uint8) (*Edge, error) {
	if err := checkID("group", group); err != nil {
		return nil, err
	}
	if err := checkID("node", node); err != nil {
		return nil, err
	}
	return &Edge{group: group, node: node, bdSeq: before, byName: map[string]*edgeDevice{}}, nil
}

// checkID returns an error when a name cannot be a level of a topic.
func checkID(what, id string) error {
	if id == "" || strings.ContainsAny(id, "/+#") {
		return penstock.Errorf(penstock.Invalid, "%s: %.60q is empty, or has one of / + #: it is a level of a topic", what, id)
	}
	return nil
}

// Connect begins another session and returns its death, for the broker to publish when
// the connection breaks.
func (e *Edge) Connect(now time.Time) (will Command) {
	e.bdSeq++
	return Command{Topic: e.topic(nodeDeath, ""), Payload: appendMetric(appendStamp(nil, now), e.session(now))}
}

// Session returns the number of the session (bdSeq).
func (e *Edge) Session() uint8 { return e.bdSeq }

// Commands returns the topic under which commands to the edge node come.
func (e *Edge) Commands() string { return e.topic(nodeCommand, "") }

// WantsRebirth tells whether a message is the command to give birth again.
func (e *Edge) WantsRebirth(topic string, body []byte) bool {
	p, err := decode(body)
	if err != nil || topic != e.Commands() {
		return false
	}
	for i := range p.metrics {
		if m := &p.metrics[i]; m.name == rebirthMetric && m.source == metricBool && m.bits != 0 {
			return true
		}
	}
	return false
}

// Limit says how many bytes a payload may have; 0 for no limit.
func (e *Edge) Limit(most int) { e.most = most }

// Births returns the births of the session: that of the edge node, and those of the
// devices that are known, with the newest values. A device whose birth is too large is
// left out, and its next report refused.
func (e *Edge) Births(now time.Time) []Command {
	e.seq = 0
	b := appendMetric(appendStamp(nil, now), e.session(now))
	b = appendMetric(b, outgoing{name: rebirthMetric, at: now.UnixMilli(), datatype: typeBoolean, as: typeBoolean, value: penstock.BoolValue(false)})
	births := []Command{{Topic: e.topic(nodeBirth, ""), Payload: e.numbered(b)}}
	for _, d := range e.devices {
		number := e.seq
		birth := e.deviceBirth(d, now)
		if e.tooLarge(birth) {
			d.born, e.seq = false, number
			continue
		}
		births = append(births, birth)
	}
	return births
}

func (e *Edge) tooLarge(c Command) bool { return e.most > 0 && len(c.Payload) > e.most }

// Report returns the messages of a report: the birth of its device where that tells
// something new, and the data. Errors have code [penstock.Invalid], or
// [penstock.TooLarge] where one of them is; then nothing was told.
func (e *Edge) Report(now time.Time, r *penstock.Report) ([]Command, error) {
	if err := checkID("controller", r.Controller); err != nil {
		return nil, err
	}
	if len(r.Samples) == 0 {
		return nil, nil
	}
	d := e.byName[r.Controller]
	if d == nil {
		d = &edgeDevice{name: r.Controller, byPoint: map[string]int{}}
	}
	if err := e.learn(d, r.Samples); err != nil {
		return nil, err
	}
	if e.byName[d.name] == nil {
		e.byName[d.name] = d
		e.devices = append(e.devices, d)
	}
	number, born := e.seq, d.born
	var out []Command
	if !d.born {
		out = append(out, e.deviceBirth(d, now))
	}
	out = e.data(out, d, r.Samples, now)
	for _, c := range out {
		if e.tooLarge(c) {
			e.seq, d.born = number, born
			return nil, penstock.Errorf(penstock.TooLarge, "a message of Sparkplug B for it has %d bytes, and may have %d", len(c.Payload), e.most)
		}
	}
	return out, nil
}

// learn takes over what the samples tell: new points, and newer values.
func (e *Edge) learn(d *edgeDevice, samples []penstock.Sample) error {
	fresh := map[string]bool{}
	for i := range samples {
		if _, known := d.byPoint[samples[i].Point]; !known {
			fresh[samples[i].Point] = true
		}
	}
	if e.metrics+len(fresh) > MaxEdgeMetrics {
		return penstock.Errorf(penstock.Invalid, "it has new points, and an edge node of Sparkplug B tells of at most %d here: use several sinks, or another payload", MaxEdgeMetrics)
	}
	for i := range samples {
		s := &samples[i]
		at, known := d.byPoint[s.Point]
		if !known {
			at = len(d.metrics)
			d.byPoint[s.Point] = at
			d.metrics = append(d.metrics, edgeMetric{alias: uint64(e.metrics), point: s.Point, latest: *s})
			e.metrics++
			d.born = false
		}
		m := &d.metrics[at]
		if t := m.widened(s.Value.Kind()); t != m.datatype || s.Unit != m.unit {
			m.datatype, m.unit = t, s.Unit
			d.born = false
		}
		if s.Flags&penstock.Historical == 0 && s.SourceTime >= m.latest.SourceTime {
			m.latest = *s
		}
	}
	return nil
}

// deviceBirth returns the birth of a device with all its metrics.
func (e *Edge) deviceBirth(d *edgeDevice, now time.Time) Command {
	d.born = true
	b := appendStamp(nil, now)
	for i := range d.metrics {
		m := &d.metrics[i]
		o := outgoingOf(m, &m.latest)
		o.name, o.datatype, o.unit = m.point, o.as, m.unit
		b = appendMetric(b, o)
	}
	return Command{Topic: e.topic(deviceBirth, d.name), Payload: e.numbered(b)}
}

// data appends the data messages of the samples, each within the bounds of one.
func (e *Edge) data(out []Command, d *edgeDevice, samples []penstock.Sample, now time.Time) []Command {
	for len(samples) > 0 {
		b := appendStamp(nil, now)
		n := 0
		for n < len(samples) && n < maxSamples && len(b) < maxBytes {
			m := &d.metrics[d.byPoint[samples[n].Point]]
			b = appendMetric(b, outgoingOf(m, &samples[n]))
			n++
		}
		out = append(out, Command{Topic: e.topic(deviceData, d.name), Payload: e.numbered(b)})
		samples = samples[n:]
	}
	return out
}

// numbered appends the number of the message in its session.
func (e *Edge) numbered(b []byte) []byte {
	b = appendField(b, payloadSeq, uint64(e.seq))
	e.seq++
	return b
}

func (e *Edge) topic(kind, device string) string {
	topic := Namespace + "/" + e.group + "/" + kind + "/" + e.node
	if device != "" {
		topic += "/" + device
	}
	return topic
}

// session returns the metric that tells sessions apart. The specification has it Int64.
func (e *Edge) session(now time.Time) outgoing {
	return outgoing{name: "bdSeq", at: now.UnixMilli(), datatype: typeInt64, as: typeInt64, value: penstock.IntValue(int64(e.bdSeq))}
}

// widened returns the datatype of the metric when it has a value of a kind, too. A point
// that was whole numbers may become a fraction, and then whole numbers fit it.
func (m *edgeMetric) widened(k penstock.Kind) datatype {
	switch k {
	case penstock.Float64:
		return typeDouble
	case penstock.Int64, penstock.Uint64:
		if m.datatype == typeDouble {
			return typeDouble
		}
		if k == penstock.Int64 {
			return typeInt64
		}
		return typeUInt64
	case penstock.Bool:
		return typeBoolean
	case penstock.Text:
		return typeString
	case penstock.None:
	}
	return m.datatype
}

// outgoingOf returns a sample as a metric of data. Of a point that never had a value the
// type is not known; numbers are the usual case.
func outgoingOf(m *edgeMetric, s *penstock.Sample) outgoing {
	return outgoing{
		alias: m.alias, aliased: true, at: s.SourceTime / int64(time.Millisecond), as: cmp.Or(m.datatype, typeDouble), value: s.Value,
		historical: s.Flags&penstock.Historical != 0, quality: qualityOf(s.Status),
	}
}
