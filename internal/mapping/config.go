package mapping

import "github.com/penstock/penstock/internal/mapping/decimal"

// Config is one mapping as it is declared. The payload is JSON unless Bytes or
// Text is there; with Bytes.In, JSON holds bytes.
type Config struct {
	Bytes      *Bytes            `yaml:"bytes,omitempty" jsonschema_description:"the payload is bytes: what stands where; the names of the fields can be used everywhere below"`
	Text       *Text             `yaml:"text,omitempty" jsonschema_description:"the payload is lines of text, a report each: what the parts of a line are called"`
	Each       string            `yaml:"each,omitempty" jsonschema_description:"path of a list in the payload: each element is a report of its own, and {.name} is what it holds"`
	Controller string            `yaml:"controller" jsonschema_description:"name of the controller, such as pump-{station.id}"`
	Sequence   *Sequence         `yaml:"sequence,omitempty" jsonschema_description:"the report's identity is a sequence number of the controller"`
	Key        string            `yaml:"key,omitempty" jsonschema_description:"the report's identity is this text, which no other report of the controller has"`
	Natural    bool              `yaml:"natural,omitempty" jsonschema_description:"the report has no identity but the times of its samples: a second value of a point at the same time is a conflict, and without a time a resend is stored twice"`
	Time       *Time             `yaml:"time,omitempty" jsonschema_description:"time of the samples that have none of their own; the gateway's when left out"`
	Historical string            `yaml:"historical,omitempty" jsonschema_description:"true when the report was kept through an outage, such as {buffered}"`
	Points     []Point           `yaml:"points,omitempty" jsonschema_description:"the samples of a report"`
	Cases      *Cases            `yaml:"cases,omitempty" jsonschema_description:"what is there only when a value of the payload says so"`
	Signals    map[string]string `yaml:"signals,omitempty" jsonschema_description:"what the payload tells of the link, by quantity: rssi and optical_power in dBm, snr and attenuation in dB; of several values the largest counts"`
}

// Bytes says what stands where in a payload of bytes.
type Bytes struct {
	In       string  `yaml:"in,omitempty" jsonschema_description:"where the bytes stand in a JSON payload, such as {data}; the payload itself is bytes when left out"`
	Encoding string  `yaml:"encoding,omitempty" jsonschema_description:"how the bytes stand there: base64 (the default) or hex"`
	Order    string  `yaml:"order,omitempty" jsonschema_description:"order of the bytes of a number: big (ABCD, the default), little (DCBA), CDAB or BADC"`
	Size     int     `yaml:"size,omitempty" jsonschema_description:"bytes of every payload: another length is refused"`
	Fields   []Field `yaml:"fields,omitempty" jsonschema_description:"the fields"`
	Groups   []Group `yaml:"groups,omitempty" jsonschema_description:"fields that come several times, behind the others"`
}

// Field is one value in bytes.
type Field struct {
	Name   string `yaml:"name" jsonschema_description:"how the field is called in this mapping"`
	At     *int   `yaml:"at,omitempty" jsonschema_description:"its first byte, counted from 0; right behind the field before it when left out"`
	Type   string `yaml:"type" jsonschema_description:"u8 to u64, i8 to i64, f32, f64, bool, bcd, text, hex, cp56time or bcdtime"`
	Length int    `yaml:"length,omitempty" jsonschema_description:"bytes of a bcd, text or hex; text and hex reach to the end when left out"`
	Order  string `yaml:"order,omitempty" jsonschema_description:"order of its bytes, where it is another than that of the mapping"`
	Bits   string `yaml:"bits,omitempty" jsonschema_description:"bits of the whole number, 0 is the lowest: 3 is true or false, 4-7 is a number"`
}

// Group is a run of fields that comes several times.
type Group struct {
	Name   string  `yaml:"name" jsonschema_description:"how the list is called in each"`
	At     *int    `yaml:"at,omitempty" jsonschema_description:"its first byte, counted from 0; right behind what is before it when left out"`
	Count  string  `yaml:"count,omitempty" jsonschema_description:"how often it comes: a number or a field such as {n}; as often as there are bytes when left out"`
	Fields []Field `yaml:"fields" jsonschema_description:"the fields of one element; at counts from its first byte"`
}

// Text says what the parts of a line are called.
type Text struct {
	Separator string   `yaml:"separator,omitempty" jsonschema_description:"what stands between the parts; the whole line is one part when left out"`
	Fields    []string `yaml:"fields" jsonschema_description:"names of the parts, in their order"`
}

// Sequence is where a sequence number stands.
type Sequence struct {
	Epoch string `yaml:"epoch" jsonschema_description:"number that grows when the controller loses its sequence, such as {boot}; 1 if it never does"`
	Seq   string `yaml:"seq" jsonschema_description:"the sequence number, such as {fCnt}"`
	First int    `yaml:"first,omitempty" jsonschema_description:"0 where the controller counts from 0; 1 when left out"`
}

// Time says how a time is written.
type Time struct {
	Value string `yaml:"value" jsonschema_description:"where it stands, such as {time}"`
	As    string `yaml:"as,omitempty" jsonschema_description:"rfc3339 (the default), datetime (2026-11-22 06:00:00, with zone), or a number: seconds, milliseconds, microseconds, nanoseconds"`
	Zone  string `yaml:"zone,omitempty" jsonschema_description:"zone of a datetime: UTC or an offset such as +01:00"`
	Since string `yaml:"since,omitempty" jsonschema_description:"date from which a number counts, such as 2000-01-01; 1970-01-01 when left out"`
}

// Point is one sample, or with Each one a list's element.
type Point struct {
	Each     string         `yaml:"each,omitempty" jsonschema_description:"path of a list: each element is a sample, and {.name} is what it holds"`
	Point    string         `yaml:"point" jsonschema_description:"name of the point, such as flow or {.name}"`
	Value    string         `yaml:"value,omitempty" jsonschema_description:"where the value stands; what is called as the point when left out"`
	Type     string         `yaml:"type,omitempty" jsonschema_description:"float64, int64, uint64, bool or text; what the payload has when left out"`
	Scale    decimal.Number `yaml:"scale,omitempty" jsonschema_description:"factor, such as 0.1"`
	Offset   decimal.Number `yaml:"offset,omitempty" jsonschema_description:"added after the factor"`
	Unit     string         `yaml:"unit,omitempty" jsonschema_description:"UCUM unit, such as m3/h or {.unit}"`
	Status   *Status        `yaml:"status,omitempty" jsonschema_description:"quality of the value; good when left out"`
	Time     *Time          `yaml:"time,omitempty" jsonschema_description:"time of this sample"`
	Invalid  []string       `yaml:"invalid,omitempty" jsonschema_description:"values by which the device says that it has none, before the factor"`
	Optional bool           `yaml:"optional,omitempty" jsonschema_description:"no sample when the value is not in the payload; otherwise one without value and with a bad status"`
}

// Status says how a quality is written.
type Status struct {
	Value  string            `yaml:"value" jsonschema_description:"where it stands; the name or number of an OPC UA status, unless values or bits say otherwise"`
	Values map[string]string `yaml:"values,omitempty" jsonschema_description:"status for each value"`
	Bits   map[string]string `yaml:"bits,omitempty" jsonschema_description:"status for each bit that is set, 0 is the lowest; the worst counts"`
	Other  string            `yaml:"other,omitempty" jsonschema_description:"status for every other value; Uncertain when left out"`
}

// Cases choose by a value of the payload what else is in it.
type Cases struct {
	By string          `yaml:"by" jsonschema_description:"the value that decides, such as {kind}, or {$length} for the bytes of the payload"`
	Of map[string]Case `yaml:"of" jsonschema_description:"what is there, by that value; a payload with another is refused"`
}

// Case is what is there in one of the cases.
type Case struct {
	Fields []Field `yaml:"fields,omitempty" jsonschema_description:"fields behind those of bytes"`
	Groups []Group `yaml:"groups,omitempty" jsonschema_description:"groups behind those of bytes"`
	Points []Point `yaml:"points,omitempty" jsonschema_description:"points beside those of the mapping"`
}

// SetDefaults sets what is not zero by default.
func (s *Sequence) SetDefaults() { s.First = 1 }

// Validate returns every mistake that can be seen before a payload comes, each
// with the key that has it.
func (c *Config) Validate() error {
	_, err := New("", *c)
	return err
}
