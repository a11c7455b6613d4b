package mqtt

import (
	"math"
	"strconv"
	"strings"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/topic"
	"github.com/penstock/penstock/link"
)

// The content types of messages.
const (
	jsonType  = "application/json"
	valueType = "text/plain"
)

// The user properties of a message, beside those that package topic names.
const (
	messageIDName = "message-id"
	timeName      = "time"
	statusName    = "status"
	unitName      = "unit"
)

// maxTopic is the bytes of a topic.
const maxTopic = math.MaxUint16

// message is what is published of a report, before it is known whether the broker is
// to keep it.
type message struct {
	packet     *packets.Publish
	newest     int64 // source time of its newest sample
	historical bool
}

// messages returns the messages of a report. Errors have code [penstock.Invalid] or
// [penstock.TooLarge].
func (s *settings) messages(r *penstock.Report) ([]message, error) {
	if s.Payload == topic.Value {
		ms := make([]message, 0, len(r.Samples))
		for i := range r.Samples {
			m, err := s.value(r, i)
			if err != nil {
				return nil, err
			}
			ms = append(ms, m)
		}
		return ms, nil
	}
	p := &paho.Publish{Properties: &paho.PublishProperties{ContentType: link.MediaType}}
	var err error
	if s.Payload == topic.Binary {
		p.Payload = link.AppendReport(nil, r)
	} else {
		p.Properties.ContentType = jsonType
		if p.Payload, err = reportjson.AppendReport(nil, r); err != nil {
			return nil, err
		}
	}
	p.Properties.User = identity(r)
	var newest int64 = math.MinInt64
	historical := false
	for i := range r.Samples {
		newest = max(newest, r.Samples[i].SourceTime)
		historical = historical || r.Samples[i].Flags&penstock.Historical != 0
	}
	m, err := s.message(p, r, "")
	m.newest, m.historical = newest, historical
	return []message{m}, err
}

// identity returns the user properties that say who a report is.
func identity(r *penstock.Report) (u paho.UserProperties) {
	u.Add(messageIDName, sink.MessageID(r))
	switch id := r.Identity; id.Form {
	case penstock.Sequence:
		u.Add(topic.EpochName, strconv.FormatUint(id.Epoch, 10)).Add(topic.SeqName, strconv.FormatUint(id.Seq, 10))
	case penstock.Keyed:
		u.Add(topic.KeyName, id.Key)
	case penstock.Natural:
	}
	return u
}

// value returns the message of one sample.
func (s *settings) value(r *penstock.Report, i int) (message, error) {
	sample := &r.Samples[i]
	p := &paho.Publish{Payload: appendValue(nil, sample.Value), Properties: &paho.PublishProperties{ContentType: valueType}}
	u := &p.Properties.User
	key := sink.SampleKey(r, i)
	u.Add(topic.KeyName, key).Add(messageIDName, r.Controller+"/"+key)
	u.Add(timeName, strings.Trim(string(reportjson.AppendTime(nil, sample.SourceTime, reportjson.RFC3339)), `"`))
	if sample.Status != penstock.Good {
		u.Add(statusName, sample.Status.String())
	}
	if sample.Unit != "" {
		u.Add(unitName, sample.Unit)
	}
	m, err := s.message(p, r, sample.Point)
	m.newest, m.historical = sample.SourceTime, sample.Flags&penstock.Historical != 0
	return m, err
}

// appendValue appends a value as text without quotes: null for none, nan for a float
// that is no number.
func appendValue(b []byte, v penstock.Value) []byte {
	switch v.Kind() {
	case penstock.Text:
		return append(b, v.Text()...)
	case penstock.Float64:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return strconv.AppendFloat(b, f, 'g', -1, 64)
		}
	default:
	}
	return reportjson.AppendValue(b, v)
}

// message gives a message its topic.
func (s *settings) message(p *paho.Publish, r *penstock.Report, point string) (message, error) {
	p.QoS = byte(s.QoS)
	p.Topic = s.topic.Expand([]string{controllerName, sourceName, pointName}, []string{r.Controller, r.Source, point})
	if strings.ContainsAny(p.Topic, "+#") || strings.HasPrefix(p.Topic, "$") || len(p.Topic) > maxTopic {
		return message{}, penstock.Errorf(penstock.Invalid, "its topic %.80q has a wildcard, begins with $ or is too long: nothing can be published there", p.Topic)
	}
	return message{packet: p.Packet()}, nil
}
