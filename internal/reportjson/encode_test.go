package reportjson_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/reportjson"
)

// standardReport is a report as the standard library reads it.
type standardReport struct {
	Controller string           `json:"controller"`
	Epoch      uint64           `json:"epoch"`
	Seq        uint64           `json:"seq"`
	Key        string           `json:"key"`
	Samples    []standardSample `json:"samples"`
}

type standardSample struct {
	Point      string          `json:"point"`
	Time       json.RawMessage `json:"time"`
	Value      json.RawMessage `json:"value"`
	Status     json.RawMessage `json:"status"`
	Unit       string          `json:"unit"`
	Native     uint32          `json:"native"`
	Historical bool            `json:"historical"`
}

// anyValue draws values as a controller can say them in JSON.
func anyValue() *rapid.Generator[penstock.Value] {
	return rapid.OneOf(
		rapid.Map(rapid.Uint64(), func(bits uint64) penstock.Value {
			if v := math.Float64frombits(bits); math.IsNaN(v) || math.IsInf(v, 0) {
				bits &^= 1 << 62
			}
			return penstock.BitsValue(penstock.Float64, bits)
		}),
		rapid.Map(rapid.Float64Range(-1e6, 1e6), func(v float64) penstock.Value { return penstock.FloatValue(math.Round(v*1000) / 1000) }),
		rapid.Map(rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, 1e21, 1e-7, 123456789012345680000, math.MaxFloat64, math.SmallestNonzeroFloat64}), penstock.FloatValue),
		rapid.Map(rapid.Int64(), penstock.IntValue),
		rapid.Map(rapid.Uint64Min(1<<63), penstock.UintValue),
		rapid.Map(rapid.Bool(), penstock.BoolValue),
		rapid.Map(rapid.String(), penstock.TextValue),
		rapid.Just(penstock.Value{}),
	)
}

func anySample() *rapid.Generator[penstock.Sample] {
	return rapid.Custom(func(t *rapid.T) penstock.Sample {
		s := penstock.Sample{
			Point:  rapid.OneOf(rapid.SampledFrom([]string{"flow", "pressure"}), rapid.StringMatching(`[a-zäß/"\\€😀<&]{1,30}`)).Draw(t, "point"),
			Unit:   rapid.SampledFrom([]string{"", "m3/h", `"`}).Draw(t, "unit"),
			Value:  anyValue().Draw(t, "value"),
			Status: penstock.Status(rapid.OneOf(rapid.SampledFrom([]uint32{0, 0, 0, 0x80310000, 0x40900000, 0x00000400}), rapid.Uint32()).Draw(t, "status")),
			Native: rapid.OneOf(rapid.Just(uint32(0)), rapid.Uint32()).Draw(t, "native"),
			Flags:  rapid.SampledFrom([]penstock.SampleFlags{0, penstock.Historical}).Draw(t, "flags"),
		}
		if rapid.Bool().Draw(t, "clock") {
			s.SourceTime = rapid.Int64().Draw(t, "time")
		} else {
			s.Flags |= penstock.GatewayClock
		}
		if s.Value.Kind() == penstock.None {
			s.Status |= penstock.Bad
		}
		return s
	})
}

func anyReport() *rapid.Generator[penstock.Report] {
	number := rapid.Uint64Range(1, penstock.MaxSequence)
	return rapid.Custom(func(t *rapid.T) penstock.Report {
		r := penstock.Report{
			Controller: rapid.StringMatching(`[a-zö"\\-]{1,40}`).Draw(t, "controller"),
			Samples:    rapid.SliceOfN(anySample(), 1, 40).Draw(t, "samples"),
		}
		switch rapid.IntRange(0, 2).Draw(t, "form") {
		case 1:
			r.Identity = penstock.KeyIdentity(rapid.StringN(1, -1, penstock.MaxKey).Draw(t, "key"))
		case 2:
			r.Identity = penstock.SequenceIdentity(number.Draw(t, "epoch"), number.Draw(t, "seq"))
		}
		return r
	})
}

func TestReportsSurviveBitForBit(t *testing.T) {
	var d reportjson.Decoder // one for all: what it remembers must not leak between reports
	rapid.Check(t, func(t *rapid.T) {
		reports := rapid.SliceOfN(anyReport(), 1, 4).Draw(t, "reports")
		var lines, array []byte
		for i := range reports {
			one, err := reportjson.AppendReport(nil, &reports[i])
			if err != nil {
				t.Fatal(err)
			}
			if !json.Valid(one) {
				t.Fatalf("not JSON: %s", one)
			}
			lines = append(append(lines, one...), '\n')
			array = append(append(array, ','), one...)
		}
		array[0] = '['
		array = append(array, ']')
		if rapid.Bool().Draw(t, "indent") {
			array = indented(t, array)
		}
		got, err := d.Decode(array, nil)
		if err != nil {
			t.Fatalf("%s: %v", array, err)
		}
		for i := range reports {
			same(t, &got[i], &reports[i])
		}
		n := 0
		for _, line := range reportjson.Lines(lines) {
			var r penstock.Report
			if err := d.DecodeLine(line, &r); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			same(t, &r, &reports[n])
			n++
		}
		if n != len(reports) {
			t.Fatalf("%d lines for %d reports", n, len(reports))
		}
	})
}

func indented(t *rapid.T, b []byte) []byte {
	var out bytes.Buffer
	if err := json.Indent(&out, b, "\r\n", "\t "); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestStandardLibraryAgrees has the standard library write and read the reports.
func TestStandardLibraryAgrees(t *testing.T) {
	var d reportjson.Decoder
	rapid.Check(t, func(t *rapid.T) {
		want := anyReport().Draw(t, "report")
		ours, err := reportjson.AppendReport(nil, &want)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, ours, &want)

		decoder := json.NewDecoder(bytes.NewReader(ours)) // into maps: other order, other escapes
		decoder.UseNumber()
		var anything map[string]any
		if err := decoder.Decode(&anything); err != nil {
			t.Fatal(err)
		}
		theirs, err := json.Marshal(anything)
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Decode(theirs, nil)
		if err != nil {
			t.Fatalf("%s: %v", theirs, err)
		}
		same(t, &got[0], &want)
	})
}

// agree asserts that the standard library reads from the body what r has.
func agree(t interface{ Fatalf(string, ...any) }, body []byte, r *penstock.Report) {
	var std standardReport
	if err := json.Unmarshal(body, &std); err != nil {
		t.Fatalf("the standard library refuses %q: %v", body, err)
	}
	if std.Controller != r.Controller || std.Epoch != r.Identity.Epoch || std.Seq != r.Identity.Seq || std.Key != r.Identity.Key || len(std.Samples) != len(r.Samples) {
		t.Fatalf("%q: the standard library reads %+v, we %+v", body, std, r)
	}
	for i, s := range r.Samples {
		o := std.Samples[i]
		if o.Point != s.Point || o.Unit != s.Unit || o.Native != s.Native || o.Historical != (s.Flags&penstock.Historical != 0) {
			t.Fatalf("%q: sample %d: the standard library reads %+v, we %+v", body, i, o, s)
		}
		if !sameValue(string(o.Value), s.Value) {
			t.Fatalf("%q: sample %d: the value %s became %v %v", body, i, o.Value, s.Value.Kind(), s.Value)
		}
		if !sameTime(o.Time, s) {
			t.Fatalf("%q: sample %d: the time %s became %d, flags %d", body, i, o.Time, s.SourceTime, s.Flags)
		}
	}
}

// sameValue judges a value by the standard library's reading of its literal.
func sameValue(literal string, v penstock.Value) bool {
	switch v.Kind() {
	case penstock.Text:
		var text string
		return json.Unmarshal([]byte(literal), &text) == nil && text == v.Text()
	case penstock.Float64:
		f, err := strconv.ParseFloat(literal, 64)
		return err == nil && penstock.FloatValue(f) == v && (literal == "-0" || strings.ContainsAny(literal, ".eE"))
	case penstock.None:
		return literal == "null"
	}
	return literal == v.String()
}

func sameTime(literal []byte, s penstock.Sample) bool {
	if literal == nil {
		return s.SourceTime == 0 && s.Flags&penstock.GatewayClock != 0
	}
	text := strings.Trim(string(literal), `"`)
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n == s.SourceTime
	}
	var at time.Time
	return json.Unmarshal(literal, &at) == nil && at.Equal(time.Unix(0, s.SourceTime))
}

func TestTimesAgreeWithTheStandardLibrary(t *testing.T) {
	var d reportjson.Decoder
	rapid.Check(t, func(t *rapid.T) {
		nanos := rapid.Int64().Draw(t, "nanos")
		zone := time.FixedZone("", 60*rapid.IntRange(-1439, 1439).Draw(t, "offset"))
		at := time.Unix(0, nanos)
		if got, want := string(reportjson.AppendTime(nil, nanos, reportjson.RFC3339)), at.UTC().Format(`"2006-01-02T15:04:05.000000000Z"`); got != want {
			t.Fatalf("%d: got %s, want %s", nanos, got, want)
		}
		body := `{"controller":"c","samples":[{"point":"p","value":1,"time":"` + at.In(zone).Format(time.RFC3339Nano) + `"}]}`
		got, err := d.Decode([]byte(body), nil)
		if err != nil || got[0].Samples[0].SourceTime != nanos {
			t.Fatalf("%s: got %+v, %v, want %d", body, got, err, nanos)
		}
	})
	if got := string(reportjson.AppendTime(nil, -7, reportjson.Nanoseconds)); got != "-7" {
		t.Errorf("nanoseconds: %s", got)
	}
}

func TestAppendValue(t *testing.T) {
	for want, v := range map[string]penstock.Value{
		"12.0": penstock.FloatValue(12), "-0.0": penstock.FloatValue(math.Copysign(0, -1)), "0.1": penstock.FloatValue(0.1),
		"1e+21": penstock.FloatValue(1e21), "100000000000000000000.0": penstock.FloatValue(1e20), "1e-07": penstock.FloatValue(1e-7), "0.000001": penstock.FloatValue(1e-6),
		`"NaN"`: penstock.FloatValue(math.NaN()), `"Infinity"`: penstock.FloatValue(math.Inf(1)), `"-Infinity"`: penstock.FloatValue(math.Inf(-1)),
		"-9223372036854775808": penstock.IntValue(math.MinInt64), "18446744073709551615": penstock.UintValue(math.MaxUint64),
		"true": penstock.BoolValue(true), "false": penstock.BoolValue(false), "null": {}, `"a\"\\\n\t\u0000<ö"`: penstock.TextValue("a\"\\\n\t\x00<ö"),
		"\"a\ufffd\ufffdb\"": penstock.TextValue("a\xff\xc3b"), "\"\ufffd\"": penstock.TextValue("\ufffd"),
	} {
		if got := string(reportjson.AppendValue(nil, v)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAppendReportRefusesWhatJSONCannotSay(t *testing.T) {
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		r := penstock.Report{Controller: "c", Samples: []penstock.Sample{{Point: "p", Value: penstock.FloatValue(v)}}}
		got, err := reportjson.AppendReport([]byte("before"), &r)
		if penstock.CodeOf(err) != penstock.Invalid || err == nil || string(got) != "before" {
			t.Errorf("%v: got %s, %v", v, got, err)
		}
	}
}

func TestStatusesSurvive(t *testing.T) {
	for status, want := range map[penstock.Status]string{
		penstock.BadDataLost:           `"BadDataLost"`,
		penstock.BadDataLost | 1<<10:   "2157773824", // flags have no name
		penstock.Status(0x7FFF0000):    `"0x7FFF0000"`,
		penstock.Good | 1<<10:          "1024",
		penstock.Uncertain:             `"Uncertain"`,
		penstock.BadCommunicationError: `"BadCommunicationError"`,
	} {
		r := penstock.Report{Controller: "c", Samples: []penstock.Sample{{Point: "p", Value: penstock.IntValue(1), Status: status, SourceTime: 1}}}
		got, err := reportjson.AppendReport(nil, &r)
		if err != nil || !bytes.Contains(got, []byte(`"status":`+want+`}`)) {
			t.Errorf("%v: got %s, %v, want %s", status, got, err, want)
		}
	}
}

// noDuplicates asserts that no object of the body has a key twice.
func noDuplicates(t *testing.T, d *json.Decoder) {
	token, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	switch token {
	case json.Delim('{'):
		for d.More() {
			key, err := d.Token()
			if err != nil || seen[key.(string)] {
				t.Fatalf("the key %v stands there twice (%v)", key, err)
			}
			seen[key.(string)] = true
			noDuplicates(t, d)
		}
	case json.Delim('['):
		for d.More() {
			noDuplicates(t, d)
		}
	default:
		return
	}
	if _, err := d.Token(); err != nil && err != io.EOF {
		t.Fatal(err)
	}
}

// FuzzDecode asserts that what is taken is JSON, means to the standard library
// what it means to us, keeps all limits, and survives being written and read.
func FuzzDecode(f *testing.F) {
	f.Add(body(3))
	f.Add([]byte(`[{"controller":"c","key":"k","samples":[{"point":"p","value":null,"status":"Bad","time":"1"}]}]`))
	f.Add([]byte(`{"controller":"c\u0041","samples":[{"point":"p","value":-0,"time":1,"unit":"kPa","native":192,"historical":true}]}`))
	f.Add([]byte(`{"controller":"c","samples":[{"point":"p","value":"\ud83d\ude00","time":"2026-11-22T06:00:00.5+01:00","status":2147483648}]}`))
	for _, in := range hostile(f) {
		if len(in) < 1000 {
			f.Add([]byte(in))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var d reportjson.Decoder
		reports, err := d.Decode(in, nil)
		if err != nil {
			if code := penstock.CodeOf(err); code != penstock.Invalid && code != penstock.TooLarge || len(reports) != 0 {
				t.Fatalf("%d reports, code %v: %v", len(reports), code, err)
			}
			return
		}
		if !json.Valid(in) {
			t.Fatalf("taken, but not JSON: %q", in)
		}
		noDuplicates(t, json.NewDecoder(bytes.NewReader(in)))
		for i := range reports {
			out, err := reportjson.AppendReport(nil, &reports[i])
			if err != nil {
				t.Fatal(err)
			}
			again, err := d.Decode(out, nil)
			if err != nil {
				t.Fatalf("%s: %v", out, err)
			}
			same(t, &again[0], &reports[i])
		}
		if len(reports) == 1 && bytes.TrimLeft(in, " \t\r\n")[0] == '{' {
			agree(t, in, &reports[0])
		}
	})
}

func FuzzDecodeLine(f *testing.F) {
	f.Add(body(2), body(1))
	for _, in := range hostile(f) {
		if len(in) < 1000 {
			f.Add([]byte(in), []byte(good))
		}
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var used, fresh reportjson.Decoder
		var r, want penstock.Report
		_ = used.DecodeLine(first, &r)
		err, wantErr := used.DecodeLine(second, &r), fresh.DecodeLine(second, &want)
		if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
			t.Fatalf("after another line: %v, alone: %v", err, wantErr)
		}
		if err == nil {
			same(t, &r, &want)
		}
	})
}
