package document

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

// Report is a document of the collection of reports: one report, one sample of a
// report without a sequence and a key, or one in quarantine.
type Report struct {
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
	Samples     []Sample  `bson:"samples,omitempty"`
	Held        *Held     `bson:"held,omitempty"`
}

// Sample is a sample in its report.
type Sample struct {
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

// Held is a report in quarantine.
type Held struct {
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
	Decided *Decided `bson:"decided,omitempty"`
}

// The causes of a refusal.
const (
	ByRecord = "record" // it can never be stored
	ByRule   = "rule"   // a step before wants it held
)

// Decided is what became of a report by a decision. It stays until nobody asks again.
type Decided struct {
	Position   int64               `bson:"position"`
	Settlement penstock.Settlement `bson:"settlement"`
}

// MaxBytes is how many bytes a document may have at the server.
const MaxBytes = 16 << 20

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

// Origin is where a document comes from.
type Origin struct {
	Node string    // the gateway
	Now  time.Time // when it was written
}

// New returns the document of the report without its content.
func New(id string, r *penstock.Report, at penstock.Position, from Origin) *Report {
	newest, _ := dateOf(newestOf(r))
	d := &Report{
		ID: id, Controller: controllerOf(r.Controller), Fingerprint: int64(r.Fingerprint), Source: Text(r.Source),
		Received: r.ReceivedTime, Accepted: r.AcceptedTime, Stored: from.Now, Newest: newest.Time(),
		Node: from.Node, Position: int64(at),
	}
	switch r.Identity.Form {
	case penstock.Sequence:
		d.Epoch, d.Seq = int64(r.Identity.Epoch), int64(r.Identity.Seq)
	case penstock.Keyed:
		d.Key = Text(r.Identity.Key)
	}
	return d
}

// Hold returns what the document of a report has that goes to quarantine for the reason.
func Hold(r *penstock.Report, at penstock.Position, from Origin, cause, reason string) *Held {
	now := from.Now.UnixNano()
	return &Held{
		Node: from.Node, Number: int64(at), Cause: cause, Reason: Text(reason), Tries: 1, First: now, Last: now,
		Report: link.AppendReport(nil, r),
	}
}

// controllerOf returns the name under which what has this one is kept: none, when it
// cannot be a controller's.
func controllerOf(name string) string {
	if penstock.CheckControllerName(name) != nil {
		return ""
	}
	return name
}

// Text makes a sentence one that a document can hold.
func Text(s string) string { return strings.ToValidUTF8(s, "�") }

// IdentityOf returns the _id of a report with a sequence or a key: what brokers know it
// by as well.
func IdentityOf(r *penstock.Report) string { return sink.MessageID(r) }

// SampleID returns the _id of a sample of a report without both.
func SampleID(controller string, s *penstock.Sample) string {
	return controller + "/@" + strconv.FormatInt(s.SourceTime, 10) + "/" + s.Point
}

// LooseID returns the _id of a report in quarantine whose identity is another's, or
// is none. No name of a controller makes such a one: what stands behind the slash of
// theirs is not one number.
func LooseID(node string, at penstock.Position) string {
	return "!" + node + "/" + strconv.FormatUint(uint64(at), 10)
}

// DigestOf tells a report in quarantine from every other.
func DigestOf(r *penstock.Report) string {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(sink.MessageID(r)), uint64(r.Fingerprint)))
	return hex.EncodeToString(sum[:16])
}

// SamplesOf returns the samples as they stand in a document.
func SamplesOf(in []penstock.Sample) []Sample {
	out := make([]Sample, len(in))
	for i := range in {
		out[i] = sampleOf(&in[i])
	}
	return out
}

func sampleOf(in *penstock.Sample) Sample {
	s := Sample{Point: in.Point, Status: int64(in.Status), Native: int64(in.Native), Unit: in.Unit, Flags: int32(in.Flags)}
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
func (s *Sample) value() penstock.Value {
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

// Decode returns the sample that was stored.
func (s *Sample) Decode() penstock.Sample {
	return penstock.Sample{
		Point: s.Point, SourceTime: nanosOf(s.Time, s.Nanos), Value: s.value(), Status: penstock.Status(s.Status),
		Native: uint32(s.Native), Unit: s.Unit, Flags: penstock.SampleFlags(s.Flags),
	}
}

// Decode returns the report that is in quarantine, or nil when it cannot be decoded.
func (d *Report) Decode() *penstock.Report {
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

// Wrong says why a sample can never be stored.
func Wrong(s *penstock.Sample) string {
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
