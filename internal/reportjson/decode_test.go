package reportjson_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/reportjson"
)

// decodeOne reads a body of one report with a decoder of its own.
func decodeOne(t testing.TB, body string) penstock.Report {
	t.Helper()
	var d reportjson.Decoder
	reports, err := d.Decode([]byte(body), nil)
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	if len(reports) != 1 {
		t.Fatalf("%s: %d reports", body, len(reports))
	}
	return reports[0]
}

// same asserts that two reports are equal in all that JSON says.
func same(t interface{ Fatalf(string, ...any) }, got, want *penstock.Report) {
	if got.Controller != want.Controller || got.Identity != want.Identity || len(got.Samples) != len(want.Samples) {
		t.Fatalf("got %q %v with %d samples, want %q %v with %d", got.Controller, got.Identity, len(got.Samples), want.Controller, want.Identity, len(want.Samples))
	}
	for i := range want.Samples {
		if got.Samples[i] != want.Samples[i] {
			t.Fatalf("sample %d: got %+v, want %+v", i, got.Samples[i], want.Samples[i])
		}
	}
}

func TestEveryField(t *testing.T) {
	const nanos = 1_795_327_200_123_456_789
	got := decodeOne(t, `
	{ "seq" : 7, "epoch":2 ,"samples": [
		{"point":"flow","time":"2026-11-22T06:00:00.123456789Z","value":12.5,"status":"Good"},
		{"value":-3,"unit":"m3\/h","point":"flow","time":1795327200123456789,"native":192,"historical":true},
		{"status":"Bad_NoCommunication","value":null,"point":"site/p\u00FCmp","time":"1795327200123456789"},
		{"status":2147483648,"value":null,"point":"x","historical":false},
		{"status":"UncertainLastUsableValue","value":"a\"\\\/\b\f\n\r\t\u20ac\ud83d\ude00é","point":"x","time":-1},
		{"point":"x","time":"0","value":true}, {"point":"x","time":0,"value":18446744073709551615}
	], "controller":"pump-17"}
	`)
	same(t, &got, &penstock.Report{
		Controller: "pump-17",
		Identity:   penstock.SequenceIdentity(2, 7),
		Samples: []penstock.Sample{
			{Point: "flow", SourceTime: nanos, Value: penstock.FloatValue(12.5)},
			{Point: "flow", SourceTime: nanos, Value: penstock.IntValue(-3), Unit: "m3/h", Native: 192, Flags: penstock.Historical},
			{Point: "site/pümp", SourceTime: nanos, Status: penstock.BadNoCommunication},
			{Point: "x", Status: penstock.Bad, Flags: penstock.GatewayClock},
			{Point: "x", SourceTime: -1, Value: penstock.TextValue("a\"\\/\b\f\n\r\t€😀é"), Status: penstock.UncertainLastUsableValue},
			{Point: "x", Value: penstock.BoolValue(true)},
			{Point: "x", Value: penstock.UintValue(math.MaxUint64)},
		},
	})
	got = decodeOne(t, `{"controller":"c","key":"2026/1","samples":[]}`)
	same(t, &got, &penstock.Report{Controller: "c", Identity: penstock.KeyIdentity("2026/1")})
	got = decodeOne(t, `{"controller":"c","samples":[]}`) // a key may come beside the body
	same(t, &got, &penstock.Report{Controller: "c"})
	got = decodeOne(t, `{"controller":"c","samples":[{"point":"p","value":false}]}`)
	same(t, &got, &penstock.Report{Controller: "c", Samples: []penstock.Sample{{Point: "p", Value: penstock.BoolValue(false), Flags: penstock.GatewayClock}}})
}

func TestNumbers(t *testing.T) {
	for literal, want := range map[string]penstock.Value{
		"0":                       penstock.IntValue(0),
		"-0":                      penstock.FloatValue(math.Copysign(0, -1)),
		"-0.0":                    penstock.FloatValue(math.Copysign(0, -1)),
		"0.0":                     penstock.FloatValue(0),
		"12":                      penstock.IntValue(12),
		"12.0":                    penstock.FloatValue(12),
		"1e2":                     penstock.FloatValue(100),
		"1E+2":                    penstock.FloatValue(100),
		"-1e-2":                   penstock.FloatValue(-0.01),
		"0.1":                     penstock.FloatValue(0.1),
		"9223372036854775807":     penstock.IntValue(math.MaxInt64),
		"9223372036854775808":     penstock.UintValue(1 << 63),
		"18446744073709551615":    penstock.UintValue(math.MaxUint64),
		"-9223372036854775808":    penstock.IntValue(math.MinInt64),
		"-9223372036854775807":    penstock.IntValue(-math.MaxInt64),
		"18446744073709551616.0":  penstock.FloatValue(1 << 64),
		"18446744073709551609.5":  penstock.FloatValue(18446744073709551609.5),
		"9007199254740993.0":      penstock.FloatValue(9007199254740992), // half way: to even
		"9007199254740993.00001":  penstock.FloatValue(9007199254740994),
		"1.7976931348623157e308":  penstock.FloatValue(math.MaxFloat64),
		"5e-324":                  penstock.FloatValue(math.SmallestNonzeroFloat64),
		"1e-400":                  penstock.FloatValue(0),
		"123456789012345678e-5":   penstock.FloatValue(1234567890123.45678),
		"8.41e21":                 penstock.FloatValue(8.41e21),
		"9.5e22":                  penstock.FloatValue(9.5e22),
		"2.2250738585072011e-308": penstock.FloatValue(2.2250738585072011e-308),
		"1e22":                    penstock.FloatValue(1e22), "1e23": penstock.FloatValue(1e23), "1e-22": penstock.FloatValue(1e-22), "1e-23": penstock.FloatValue(1e-23),
		"9211282075346125e-9":                     penstock.FloatValue(9.211282075346125e+06), // to round twice would be wrong
		"0e99999999999999999999":                  penstock.FloatValue(0),
		"0." + strings.Repeat("0", 400) + "1e401": penstock.FloatValue(1),
	} {
		got := decodeOne(t, `{"controller":"c","samples":[{"point":"p","value":`+literal+`}]}`).Samples[0].Value
		if got != want {
			t.Errorf("%s: got %v %v, want %v %v", literal, got.Kind(), got, want.Kind(), want)
		}
	}
	for _, literal := range []string{"01", "-01", "00", "+1", ".5", "1.", "1.e2", "-", "--1", "1e", "1e+", "0x10", "1_000", "1,5",
		"NaN", "Infinity", "-Infinity", "nan", "-NaN", "1e309", "-1e309", "1e99999999999999999999", "18446744073709551616",
		"-9223372036854775809", "99999999999999999999999999", strings.Repeat("1", 2000), "0." + strings.Repeat("0", 2000), "１", "1e1.5", "TRUE", "True", "tru", "truex", "nul", "undefined", "{}", "[1]", "'a'"} {
		refused(t, `{"controller":"c","samples":[{"point":"p","value":`+literal+`}]}`)
	}
}

func TestTimes(t *testing.T) {
	for text, want := range map[string]int64{
		`"1970-01-01T00:00:00Z"`:                0,
		`"1970-01-01T01:00:00+01:00"`:           0,
		`"1969-12-31T19:00:00-05:00"`:           0,
		`"1969-12-31T23:59:59.999999999Z"`:      -1,
		`"2024-02-29T23:59:59.5Z"`:              1_709_251_199_500_000_000,
		`"2000-02-29T00:00:00Z"`:                951_782_400_000_000_000,
		`"2026-11-22T06:00:00.1Z"`:              1_795_327_200_100_000_000,
		`"2026-11-22T06:00:00.123456789+23:59"`: 1_795_240_860_123_456_789,
		`"2262-04-11T23:47:16.854775807Z"`:      math.MaxInt64,
		`"1677-09-21T00:12:43.145224192Z"`:      math.MinInt64,
		`9223372036854775807`:                   math.MaxInt64,
		`"-9223372036854775808"`:                math.MinInt64,
		`"1795327200123456789"`:                 1_795_327_200_123_456_789,
		`"00000000000000000000000000000000001"`: 1,
	} {
		got := decodeOne(t, `{"controller":"c","samples":[{"point":"p","value":1,"time":`+text+`}]}`).Samples[0]
		if got.SourceTime != want || got.Flags != 0 {
			t.Errorf("%s: got %d with flags %d, want %d", text, got.SourceTime, got.Flags, want)
		}
	}
	for _, text := range []string{`""`, `"x"`, `"+1"`, `"1_0"`, `"0x10"`, `"1.5"`, `1.5`, `1e18`, `-0`, `9223372036854775808`, `"9223372036854775808"`,
		`null`, `true`, `{}`, `"2026-11-22"`, `"2026-11-22T06:00:00"`, `"2026-11-22 06:00:00Z"`, `"2026-11-22t06:00:00Z"`, `"2026-11-22T06:00:00z"`,
		`"2026-11-22T06:00:00.Z"`, `"2026-11-22T06:00:00,5Z"`, `"2026-11-22T06:00:00.1234567890Z"`, `"2026-11-22T24:00:00Z"`, `"2026-11-22T06:60:00Z"`,
		`"2026-12-31T23:59:60Z"`, `"2026-02-29T06:00:00Z"`, `"1900-02-29T06:00:00Z"`, `"2026-04-31T06:00:00Z"`, `"2026-13-01T06:00:00Z"`, `"2026-00-01T06:00:00Z"`,
		`"2026-01-00T06:00:00Z"`, `"2026-1-01T06:00:000Z"`, `"2262-04-11T23:47:16.854775808Z"`, `"1677-09-21T00:12:43.145224191Z"`, `"9999-12-31T23:59:59Z"`,
		`"0000-01-01T00:00:00Z"`, `"2026-11-22T06:00:00+24:00"`, `"2026-11-22T06:00:00+01:60"`, `"2026-11-22T06:00:00+0100"`, `"2026-11-22T06:00:00 01:00"`,
		`"2026-11-22T06:00:00+1:000"`, `"2026-11-22T06:00:00ZZ"`, `"2026-11-22T06:00:00.5"`, `"202a-11-22T06:00:00Z"`, `"2026-11-22T0/:00:00Z"`, `" 2026-11-22T06:00:00Z"`, `"2262-04-11T23:47:16.85+23:5"`} {
		refused(t, `{"controller":"c","samples":[{"point":"p","value":1,"time":`+text+`}]}`)
	}
}

// refused asserts that a body is refused without effect, as a body and as a line.
func refused(t *testing.T, body string) error {
	t.Helper()
	var d reportjson.Decoder
	first := []penstock.Report{{Controller: "first"}}
	got, err := d.Decode([]byte(body), first)
	if code := penstock.CodeOf(err); err == nil || code != penstock.Invalid && code != penstock.TooLarge {
		t.Errorf("%.200s: got error %v of code %v", body, err, code)
	}
	if len(got) != 1 || got[0].Controller != "first" {
		t.Errorf("%.200s: %d reports after an error", body, len(got))
	}
	var r penstock.Report
	if d.DecodeLine([]byte(body), &r) == nil {
		t.Errorf("%.200s: was taken as a line", body)
	}
	return err
}

// TestErrorsSayWhereAndWhatToDo has the sentences as people meet them.
func TestErrorsSayWhereAndWhatToDo(t *testing.T) {
	for body, want := range map[string]string{
		`{"Controller":"c"}`: `byte 1, the key "Controller" is unknown: did you mean "controller"?`,
		`[{"controller":"c","samples":[{"point":"p","value":1}]},{"controller":"c","samples":[{"point":"p","value":1},{"point":"p","timestamp":1}]}]`: `byte 122, /1/samples/1: the key "timestamp" is unknown: did you mean "time"?`,
		`{"controller":"c","samples":[{"point":"p","value":NaN}]}`:                                                                                    `byte 50, /samples/0/value: JSON has no NaN and no Infinity: send null with a bad status`,
		`{"controller":"c","samples":[{"point":"p","value":1,"value":2}]}`:                                                                            `byte 52, /samples/0: the key "value" stands here twice`,
		`{"controller":"c","samples":[{"value":null,"point":"p"}]}`:                                                                                   `byte 29, /samples/0/value: no value (null) needs a bad status, not Good`,
		`{"controller":"c","samples":[{"point":"p","value":1}]} x`:                                                                                    `byte 55, the input goes on after its end with 'x'`,
		`{"controller":"a/b"}`: `byte 14, /controller: the name of controller "a/b" has a '/', which only points may have`,
		`{"controller":"c","samples":[{"point":"p","value":1,"xyzzy":1}]}`:          `byte 52, /samples/0: the key "xyzzy" is unknown`,
		`{"controller":"c","samples":[{"point":"p","value":1,"seq":1}]}`:            `byte 52, /samples/0: the key "seq" is unknown`,
		`{"controller":"c","epoch":1,"seq":-5}`:                                     `byte 34, /seq: -5 is outside 0 to 9007199254740991`,
		`{"controller":"c","samples":[{"point":"p","value":18446744073709551616}]}`: `byte 50, /samples/0/value: the integer has more than 64 bits: write it with a fraction (.0) to store the nearest float64`,
		`{"controller":"c","samples":[{"point":"p","time":"noon","value":1}]}`:      `byte 49, /samples/0/time: a time is like 2026-11-22T06:00:00.123456789Z, or nanoseconds since 1970`,
		"\xef\xbb\xbf{}": `byte 0, JSON has no byte order mark: take the first three bytes away`,
		``:               `byte 0, a report or an array of reports is due, not the end`,
		`{"controller":"c","samples":[{"point":"p","value":1}`: `byte 52, /samples/0: ',' or ']' is due, not the end`,
	} {
		if err := refused(t, body); err != nil && err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %v", body, err, want)
		}
	}
}

// TestNoMemoryOfTheReportBefore uses one decoder for inputs that differ just so
// that what it expects is wrong.
func TestNoMemoryOfTheReportBefore(t *testing.T) {
	var d reportjson.Decoder
	for _, point := range []string{`flow`, `flow2`, `flo`, `fl\u006fw`, `a\\b`, `a\b`, `a\\b`, `a\"b`, `a`, `\"`, `flow`, ``, `"`} {
		body := `{"controller":"c","samples":[{"point":"` + point + `","value":1}]}`
		var want standardReport
		wantErr := json.Unmarshal([]byte(body), &want) != nil || want.Samples[0].Point == "" || strings.ContainsAny(want.Samples[0].Point, "\b")
		got, err := d.Decode([]byte(body), nil)
		if (err != nil) != wantErr {
			t.Fatalf("%s: got error %v", body, err)
		}
		if err == nil && got[0].Samples[0].Point != want.Samples[0].Point {
			t.Errorf("%s: got point %q", body, got[0].Samples[0].Point)
		}
	}
	for _, order := range []string{`"point":"p","value":1`, `"value":1,"point":"p"`, `"point" : "p","value": 1`, `"p\u006fint":"p","value":1`, `"value":1,"point":"p"`} {
		got, err := d.Decode([]byte(`{"controller":"c","samples":[{`+order+`},{`+order+`}]}`), nil)
		if err != nil || got[0].Samples[1].Point != "p" || got[0].Samples[1].Value != penstock.IntValue(1) {
			t.Errorf("%s: got %+v, %v", order, got, err)
		}
	}
	var r penstock.Report
	if err := d.DecodeLine([]byte(`{"controller":"old","epoch":1,"seq":2,"samples":[{"point":"p","value":1}]}`), &r); err != nil {
		t.Fatal(err)
	}
	r.Source, r.Fingerprint = "old", 7
	if err := d.DecodeLine([]byte(`{"controller":"new","key":"k","samples":[]}`), &r); err != nil {
		t.Fatal(err)
	}
	if same(t, &r, &penstock.Report{Controller: "new", Identity: penstock.KeyIdentity("k")}); r.Source != "" || r.Fingerprint != 0 {
		t.Errorf("what is not in the line stayed: %+v", r)
	}
}

// TestReportsOwnTheirSamples appends to one report's samples and decodes again,
// and looks whether another's changed.
func TestReportsOwnTheirSamples(t *testing.T) {
	var d reportjson.Decoder
	var reports []penstock.Report
	for round := range 40 {
		in := fmt.Appendf(nil, `[{"controller":"c","key":"k","samples":[{"point":"a","value":%d},{"point":"b","value":%[1]d}]},{"controller":"d","key":"k","samples":[{"point":"c","value":%[1]d}]}]`, round)
		var err error
		if reports, err = d.Decode(in, reports); err != nil {
			t.Fatal(err)
		}
		clear(in)
		_ = append(reports[len(reports)-2].Samples, penstock.Sample{Point: "intruder"})
	}
	for i, r := range reports {
		if want := []string{"ab", "c"}[i%2]; len(r.Samples) != len(want) {
			t.Fatalf("report %d: %d samples", i, len(r.Samples))
		}
		for j, s := range r.Samples {
			if want := string("abc"[i%2*2+j]); s.Point != want || s.Value != penstock.IntValue(int64(i/2)) {
				t.Fatalf("report %d, sample %d: %+v", i, j, s)
			}
		}
	}
}

func TestLines(t *testing.T) {
	var got []string
	for n, line := range reportjson.Lines([]byte("\n{1}\r\n  \n {2} \n\r\n{3}")) {
		got = append(got, fmt.Sprintf("%d %s", n, line))
	}
	if want := "2 {1}|4 {2}|6 {3}"; strings.Join(got, "|") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for range reportjson.Lines([]byte("{1}\n{2}")) {
		break
	}
	for range reportjson.Lines(nil) {
		t.Error("nothing has a line")
	}
}

func TestMostSamples(t *testing.T) {
	sample := []byte(`{"point":"p","value":1},`)
	in := func(n int) []byte {
		b := append([]byte(`{"controller":"c","key":"k","samples":[`), bytes.Repeat(sample, n)...)
		return append(b[:len(b)-1], `]}`...)
	}
	var d reportjson.Decoder
	got, err := d.Decode(in(penstock.MaxSamples), nil)
	if err != nil || len(got[0].Samples) != penstock.MaxSamples {
		t.Fatal(err)
	}
	if _, err := d.Decode(in(penstock.MaxSamples+1), nil); penstock.CodeOf(err) != penstock.TooLarge {
		t.Errorf("one sample too many: %v", err)
	}
}

// TestMemoryIsBounded decodes what is dearest for its length.
func TestMemoryIsBounded(t *testing.T) {
	var names strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&names, `{"point":"%x","value":"x"},`, i)
	}
	for name, in := range map[string]string{
		"samples": `{"controller":"c","key":"k","samples":[` + strings.Repeat(`{"point":"p","value":1},`, 20_000) + `{"point":"p","value":1}]}`,
		"names":   `{"controller":"c","key":"k","samples":[` + names.String() + `{"point":"p","value":1}]}`,
		"reports": `[` + strings.Repeat(`{"controller":"c","samples":[{"point":"p","value":1}]},`, 10_000) + `{"controller":"c","key":"k","samples":[]}]`,
		"empties": `[` + strings.Repeat(`{"controller":"c","key":"k","samples":[]},`, 10_000) + `{"controller":"c","key":"k","samples":[]}]`,
		"escapes": `{"controller":"c","key":"k","samples":[{"point":"p","value":"` + strings.Repeat(`\u0041`, 60_000) + `"}]}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var d reportjson.Decoder
		if _, err := d.Decode([]byte(in), nil); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		ratio := float64(after.TotalAlloc-before.TotalAlloc) / float64(len(in))
		if ratio > 20 {
			t.Errorf("%s: %.1f bytes allocated a byte of input", name, ratio)
		}
	}
}

// TestNamesAreForgotten feeds a decoder more names than it keeps, until it has
// just begun anew.
func TestNamesAreForgotten(t *testing.T) {
	var d reportjson.Decoder
	var in []byte
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 2*16_384 + 100 {
		in = fmt.Appendf(in[:0], `{"controller":"c%d","samples":[{"point":"p%[1]d","value":1,"unit":"u%[1]d","status":"0x%[1]X"}]}`, i)
		var r penstock.Report
		if err := d.DecodeLine(in, &r); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("the decoder holds %d bytes", grown)
	}
	runtime.KeepAlive(&d)
}

func TestReadingsCostNoAllocation(t *testing.T) {
	in := body(100)
	var d reportjson.Decoder
	var out []penstock.Report
	n := testing.AllocsPerRun(100, func() {
		var err error
		if out, err = d.Decode(in, out[:0]); err != nil {
			t.Fatal(err)
		}
	})
	if n > 0 {
		t.Errorf("a hundred readings cost %v allocations", n)
	}
}
