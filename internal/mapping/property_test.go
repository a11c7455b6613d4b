package mapping_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/mapping"
	"github.com/penstock/penstock/link"
)

// one decodes an envelope that holds one report.
func one(t interface{ Fatal(...any) }, c mapping.Config, e *penstock.Envelope) *penstock.Report {
	m, err := mapping.New("", c)
	if err != nil {
		t.Fatal(err)
	}
	var found *penstock.Report
	if err := m.Decode(e, func(d mapping.Decoded) error { found = d.Report; return d.Err }); err != nil {
		t.Fatal(err)
	}
	return found
}

// wire puts the bytes of a number, the highest first, into an order.
func wire(b []byte, order string) []byte {
	b = slices.Clone(b)
	switch order {
	case "little":
		slices.Reverse(b)
	case "CDAB":
		for i := 0; i < len(b)/2; i += 2 {
			j := len(b) - 2 - i
			b[i], b[i+1], b[j], b[j+1] = b[j], b[j+1], b[i], b[i+1]
		}
	case "BADC":
		for i := 0; i+1 < len(b); i += 2 {
			b[i], b[i+1] = b[i+1], b[i]
		}
	}
	return b
}

// What is written in any type and order is read back bit for bit.
func TestBytesRoundTrip(t *testing.T) {
	sizes := map[string]int{"u8": 1, "u16": 2, "u24": 3, "u32": 4, "u48": 6, "u64": 8, "i8": 1, "i16": 2, "i24": 3, "i32": 4, "i48": 6, "i64": 8, "f32": 4, "f64": 8}
	var names []string
	for name := range sizes {
		names = append(names, name)
	}
	slices.Sort(names)
	rapid.Check(t, func(t *rapid.T) {
		c := mapping.Config{Controller: "c", Natural: true, Bytes: &mapping.Bytes{}}
		var body []byte
		var want []penstock.Value
		for i := range rapid.IntRange(1, 6).Draw(t, "fields") {
			name := rapid.SampledFrom(names).Draw(t, "type")
			size := sizes[name]
			order := "big"
			if size > 1 {
				order = rapid.SampledFrom([]string{"big", "little"}).Draw(t, "order")
			}
			if size == 4 || size == 8 {
				order = rapid.SampledFrom([]string{"big", "little", "CDAB", "BADC"}).Draw(t, "order")
			}
			raw := rapid.Uint64().Draw(t, "raw") >> (64 - 8*size)
			eight := binary.BigEndian.AppendUint64(nil, raw)
			gap := rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "gap")
			body = append(body, gap...)
			at := len(body)
			body = append(body, wire(eight[8-size:], order)...)
			c.Bytes.Fields = append(c.Bytes.Fields, mapping.Field{Name: fmt.Sprint("f", i), At: &at, Type: name, Order: order})
			c.Points = append(c.Points, mapping.Point{Point: fmt.Sprint("f", i)})
			want = append(want, valueOf(name, size, raw))
		}
		r := one(t, c, &penstock.Envelope{Body: body})
		for i, s := range r.Samples {
			if s.Value != want[i] {
				t.Fatalf("%+v of % x is %v, not %v", c.Bytes.Fields[i], body, s.Value, want[i])
			}
		}
	})
}

func valueOf(name string, size int, raw uint64) penstock.Value {
	var f float64
	switch {
	case name[0] == 'u':
		return penstock.UintValue(raw)
	case name[0] == 'i':
		return penstock.IntValue(int64(raw<<(64-8*size)) >> (64 - 8*size))
	case size == 4:
		f = float64(math.Float32frombits(uint32(raw)))
	default:
		f = math.Float64frombits(raw)
	}
	if math.IsNaN(f) {
		return penstock.Value{}
	}
	return penstock.FloatValue(f)
}

// Any bits of any number.
func TestBitsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.Uint32().Draw(t, "raw")
		low := rapid.IntRange(0, 31).Draw(t, "low")
		high := rapid.IntRange(low, 31).Draw(t, "high")
		c := mapping.Config{Controller: "c", Natural: true, Points: []mapping.Point{{Point: "f"}}, Bytes: &mapping.Bytes{
			Fields: []mapping.Field{{Name: "f", Type: "u32", Bits: fmt.Sprintf("%d-%d", low, high)}},
		}}
		want := uint64(raw) << (63 - high) >> (63 - high + low)
		if got := one(t, c, &penstock.Envelope{Body: binary.BigEndian.AppendUint32(nil, raw)}).Samples[0].Value; got != penstock.UintValue(want) {
			t.Fatalf("bits %d to %d of %08x are %v, not %d", low, high, raw, got, want)
		}
	})
}

// No payload makes a mapping fail in any other way than with an error of its
// code, and what comes out can be kept.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/good/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	var mappings []*mapping.Mapping
	for i, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		m, err := load(f, archive.Files[0].Data)
		if err != nil {
			f.Fatal(err)
		}
		mappings = append(mappings, m)
		for _, p := range archive.Files[1:] {
			if !strings.HasPrefix(p.Name, "want ") {
				e := envelope(f, p)
				f.Add(uint8(i), e.Body, e.Topic)
			}
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte, topic string) {
		m := mappings[int(which)%len(mappings)]
		err := m.Decode(&penstock.Envelope{Body: body, Topic: topic}, func(d mapping.Decoded) error {
			if (d.Err == nil) == (d.Report == nil) {
				t.Fatalf("%+v", d)
			}
			if d.Report != nil {
				var back penstock.Report
				if _, err := new(link.Decoder).Decode(link.AppendReport(nil, d.Report), &back); err != nil {
					t.Fatalf("the report cannot be kept: %v", err)
				}
			}
			return nil
		})
		if c := penstock.CodeOf(err); err != nil && c != penstock.Invalid && c != penstock.TooLarge {
			t.Fatalf("%v has the code %v", err, c)
		}
	})
}

// FuzzConfig looks for a mapping that compiles and then fails on a payload.
func FuzzConfig(f *testing.F) {
	f.Add("a-{x}", "rows", "{.v}", "{data}", "{n}", []byte(`{"data":"AQID","rows":[{"v":1}],"x":1}`))
	f.Add("{$topic.1}", "", "{v}", "", "2", []byte{1, 2, 3, 4, 5})
	f.Add("{..x}", "a[*]", "{$property.p}", "{.data}", "", []byte(`{"a":[{"data":"AQID"}]}`))
	f.Fuzz(func(t *testing.T, controller, each, value, in, count string, body []byte) {
		c := mapping.Config{
			Controller: controller, Each: each, Natural: true, Key: "", Historical: value, Signals: map[string]string{"rssi": value},
			Time:   &mapping.Time{Value: value, As: "seconds"},
			Points: []mapping.Point{{Each: each, Point: "p", Value: value, Unit: controller, Status: &mapping.Status{Value: value}}, {Point: "n", Value: value}},
			Bytes: &mapping.Bytes{In: in, Fields: []mapping.Field{{Name: "n", Type: "u8"}}, Groups: []mapping.Group{
				{Name: "rows", Count: count, Fields: []mapping.Field{{Name: "v", Type: "u8"}}},
			}},
			Cases: &mapping.Cases{By: value, Of: map[string]mapping.Case{"1": {Points: []mapping.Point{{Point: "q", Value: value}}}, "2": {}}},
		}
		for range 3 { // with bytes and cases, with bytes, and with JSON alone
			if m, err := mapping.New("", c); err == nil {
				_ = m.Decode(&penstock.Envelope{Body: body, Topic: "a/b"}, func(mapping.Decoded) error { return nil })
			}
			if c.Cases == nil {
				c.Bytes = nil
			}
			c.Cases = nil
		}
	})
}

// In a broken mapping every mistake is told at once.
func TestEveryMistakeIsTold(t *testing.T) {
	_, err := mapping.New("", mapping.Config{})
	if n := strings.Count(fmt.Sprint(err), "\n") + 1; n != 3 {
		t.Errorf("%d mistakes: %v", n, err)
	}
}

// The time that a payload of a LoRaWAN server takes.
func BenchmarkWebhook(b *testing.B) { benchmark(b, "testdata/good/chirpstack.txtar") }

// The time that a binary record takes.
func BenchmarkRecord(b *testing.B) { benchmark(b, "testdata/good/record.txtar") }

func benchmark(b *testing.B, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		b.Fatal(err)
	}
	m, err := load(b, archive.Files[0].Data)
	if err != nil {
		b.Fatal(err)
	}
	e := envelope(b, archive.Files[1])
	b.SetBytes(int64(len(e.Body)))
	for b.Loop() {
		if err := m.Decode(e, func(d mapping.Decoded) error { return d.Err }); err != nil {
			b.Fatal(err)
		}
	}
}
