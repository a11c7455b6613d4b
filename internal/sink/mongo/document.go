package mongo

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/link"
)

// report is a document of the collection of reports: one report, one sample of a
// report without a sequence and a key, or one in quarantine.
type report struct {
	ID          string    `bson:"_id"`
	Controller  string    `bson:"controller"`
	Epoch       int64     `bson:"epoch,omitempty"`
	Seq         int64     `bson:"seq,omitempty"`
	Key         string    `bson:"key,omitempty"`
	Fingerprint int64     `bson:"fingerprint"`
	Source      string    `bson:"source,omitempty"`
	Received    int64     `bson:"received"` // nanoseconds since 1970
	Accepted    int64     `bson:"accepted"`
	Stored      time.Time `bson:"stored"`
	Newest      time.Time `bson:"newest"` // source time of the newest sample, or when the report came
	Node        string    `bson:"node"`   // who brought it
	Position    int64     `bson:"position"`
	Samples     []sample  `bson:"samples,omitempty"`
	Held        *held     `bson:"held,omitempty"`
}

// sample is a sample in its report.
type sample struct {
	Point  string        `bson:"point"`
	Time   bson.DateTime `bson:"time"`            // milliseconds of the source time
	Nanos  int32         `bson:"nanos,omitempty"` // and the nanoseconds below them
	Value  any           `bson:"value,omitempty"`
	Bits   *int64        `bson:"bits,omitempty"` // of a value that Value does not have wholly
	Kind   string        `bson:"kind,omitempty"` // where Value does not tell it
	Status int64         `bson:"status,omitempty"`
	Native int64         `bson:"native,omitempty"`
	Unit   string        `bson:"unit,omitempty"`
	Flags  int32         `bson:"flags,omitempty"`
}

// held is a report in quarantine.
type held struct {
	Node    string   `bson:"node"`
	Number  int64    `bson:"number"` // its position in the spool of the node
	Cause   string   `bson:"cause"`
	Reason  string   `bson:"reason"`
	Tries   int      `bson:"tries"`
	First   int64    `bson:"first"` // nanoseconds since 1970
	Last    int64    `bson:"last"`
	Report  []byte   `bson:"report,omitempty"` // in the encoding of package link
	Digest  string   `bson:"digest,omitempty"` // of one whose _id is not its identity
	Tried   int64    `bson:"tried,omitempty"`  // position of the last decision that came to nothing
	Decided *decided `bson:"decided,omitempty"`
}

// The causes of a refusal.
const (
	byRecord = "record" // it can never be stored
	byRule   = "rule"   // a step before wants it held
)

// decided is what became of a report by a decision. It stays until nobody asks again.
type decided struct {
	Position   int64               `bson:"position"`
	Settlement penstock.Settlement `bson:"settlement"`
}

// maxDocument is how many bytes a document may have at the server.
const maxDocument = 16 << 20

// dateOf returns the date of a time, which has milliseconds, and the rest.
func dateOf(nanos int64) (bson.DateTime, int32) {
	const unit = int64(time.Millisecond)
	ms := nanos / unit
	if nanos%unit < 0 {
		ms--
	}
	return bson.DateTime(ms), int32(nanos - ms*unit)
}

// nanosOf is the inverse of [dateOf]. The earliest millisecond that has a time in
// nanoseconds begins before the earliest nanosecond.
func nanosOf(at bson.DateTime, rest int32) int64 {
	const unit = int64(time.Millisecond)
	if int64(at) < math.MinInt64/unit {
		return (int64(at)+1)*unit + int64(rest) - unit
	}
	return int64(at)*unit + int64(rest)
}

// newestOf returns the time until which a report is kept: that of its newest sample,
// or when it came.
func newestOf(r *penstock.Report) int64 {
	if len(r.Samples) == 0 {
		return r.ReceivedTime
	}
	newest := int64(math.MinInt64)
	for i := range r.Samples {
		newest = max(newest, r.Samples[i].SourceTime)
	}
	return newest
}

// document returns the document of the report without its content.
func (w *work) document(id string, r *penstock.Report, at penstock.Position) *report {
	newest, _ := dateOf(newestOf(r))
	d := &report{
		ID: id, Controller: controllerOf(r.Controller), Fingerprint: int64(r.Fingerprint), Source: text(r.Source),
		Received: r.ReceivedTime, Accepted: r.AcceptedTime, Stored: w.now, Newest: newest.Time(),
		Node: w.state.node.ID, Position: int64(at),
	}
	switch r.Identity.Form {
	case penstock.Sequence:
		d.Epoch, d.Seq = int64(r.Identity.Epoch), int64(r.Identity.Seq)
	case penstock.Keyed:
		d.Key = text(r.Identity.Key)
	}
	return d
}

// controllerOf returns the name under which what has this one is kept: none, when it
// cannot be a controller's.
func controllerOf(name string) string {
	if penstock.CheckControllerName(name) != nil {
		return ""
	}
	return name
}

// text makes a sentence one that a document can hold.
func text(s string) string { return strings.ToValidUTF8(s, "�") }

// identityOf returns the _id of a report with a sequence or a key: what brokers know it
// by as well.
func identityOf(r *penstock.Report) string { return sink.MessageID(r) }

// sampleID returns the _id of a sample of a report without both.
func sampleID(controller string, s *penstock.Sample) string {
	return controller + "/@" + strconv.FormatInt(s.SourceTime, 10) + "/" + s.Point
}

// looseID returns the _id of a report in quarantine whose identity is another's, or
// is none. No name of a controller makes such a one: what stands behind the slash of
// theirs is not one number.
func looseID(node string, at penstock.Position) string {
	return "!" + node + "/" + strconv.FormatUint(uint64(at), 10)
}

// digestOf tells a report in quarantine from every other.
func digestOf(r *penstock.Report) string {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(sink.MessageID(r)), uint64(r.Fingerprint)))
	return hex.EncodeToString(sum[:16])
}

// samplesOf returns the samples as they stand in a document.
func samplesOf(in []penstock.Sample) []sample {
	out := make([]sample, len(in))
	for i := range in {
		out[i] = sampleOf(&in[i])
	}
	return out
}

func sampleOf(in *penstock.Sample) sample {
	s := sample{Point: in.Point, Status: int64(in.Status), Native: int64(in.Native), Unit: in.Unit, Flags: int32(in.Flags)}
	s.Time, s.Nanos = dateOf(in.SourceTime)
	bits := int64(in.Value.Bits())
	switch in.Value.Kind() {
	case penstock.Float64:
		// Not every server keeps these, and JSON has no word for them.
		if v := in.Value.Float(); math.IsNaN(v) || math.IsInf(v, 0) {
			s.Bits, s.Kind = &bits, penstock.Float64.String()
		} else if s.Value = v; v == 0 && bits != 0 {
			s.Value, s.Bits, s.Kind = 0.0, &bits, penstock.Float64.String()
		}
	case penstock.Int64:
		s.Value = in.Value.Int()
	case penstock.Uint64:
		s.Kind = penstock.Uint64.String()
		if s.Value = bits; bits < 0 {
			s.Value, s.Bits = float64(in.Value.Uint()), &bits
		}
	case penstock.Bool:
		s.Value = in.Value.Bool()
	case penstock.Text:
		s.Value = in.Value.Text()
	}
	return s
}

// value returns the value of a sample, with all its bits.
func (s *sample) value() penstock.Value {
	kind, named := penstock.ParseKind(s.Kind)
	if named && s.Bits != nil {
		return penstock.BitsValue(kind, uint64(*s.Bits))
	}
	switch v := s.Value.(type) {
	case float64:
		return penstock.FloatValue(v)
	case int64:
		if kind == penstock.Uint64 {
			return penstock.UintValue(uint64(v))
		}
		return penstock.IntValue(v)
	case bool:
		return penstock.BoolValue(v)
	case string:
		return penstock.TextValue(v)
	}
	return penstock.Value{}
}

// decode returns the sample that was stored.
func (s *sample) decode() penstock.Sample {
	return penstock.Sample{
		Point: s.Point, SourceTime: nanosOf(s.Time, s.Nanos), Value: s.value(), Status: penstock.Status(s.Status),
		Native: uint32(s.Native), Unit: s.Unit, Flags: penstock.SampleFlags(s.Flags),
	}
}

// decode returns the report that is in quarantine, or nil when it cannot be decoded.
func (d *report) decode() *penstock.Report {
	r := &penstock.Report{}
	if d.Held == nil {
		return nil
	}
	if _, err := new(link.Decoder).Decode(d.Held.Report, r); err != nil {
		return nil
	}
	r.Fingerprint, r.Source = penstock.Fingerprint(d.Fingerprint), d.Source
	r.ReceivedTime, r.AcceptedTime = d.Received, d.Accepted
	return r
}

// wrong says why a sample can never be stored.
func wrong(s *penstock.Sample) string {
	v := &s.Value
	if err := penstock.CheckPointName(s.Point); err != nil {
		return err.Error()
	}
	if err := penstock.CheckUnit(s.Unit); err != nil {
		return err.Error()
	}
	if kind := v.Kind(); kind > penstock.Text || kind == penstock.None && v.Bits() != 0 || kind == penstock.Bool && v.Bits() > 1 {
		return "the value of point " + s.Point + " is not one"
	}
	if t := v.Text(); len(t) > penstock.MaxText || !utf8.ValidString(t) {
		return "the text of point " + s.Point + " is too long or not UTF-8"
	}
	return ""
}
