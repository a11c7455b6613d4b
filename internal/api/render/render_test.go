package render_test

import (
	"encoding/csv"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/render"
	"github.com/penstock/penstock/internal/reportjson"
)

func TestValues(t *testing.T) {
	for _, c := range []struct {
		v           penstock.Value
		json, plain string
	}{
		{penstock.Value{}, "null", ""},
		{penstock.FloatValue(12.5), "12.5", "12.5"},
		{penstock.FloatValue(12), "12.0", "12.0"},
		{penstock.FloatValue(math.Copysign(0, -1)), "-0.0", "-0.0"},
		{penstock.FloatValue(1e-7), "1e-07", "1e-07"},
		{penstock.FloatValue(1e21), "1e+21", "1e+21"},
		{penstock.FloatValue(123456789012345680000), "123456789012345680000.0", "123456789012345680000.0"},
		{penstock.FloatValue(math.NaN()), `"NaN"`, "NaN"},
		{penstock.FloatValue(math.Inf(1)), `"Infinity"`, "Infinity"},
		{penstock.FloatValue(math.Inf(-1)), `"-Infinity"`, "-Infinity"},
		{penstock.IntValue(math.MinInt64), "-9223372036854775808", "-9223372036854775808"},
		{penstock.UintValue(math.MaxUint64), "18446744073709551615", "18446744073709551615"},
		{penstock.BoolValue(true), "true", "true"},
		{penstock.TextValue("a\"b"), `"a\"b"`, `a"b`},
	} {
		if got := string(reportjson.AppendValue(nil, c.v)); got != c.json {
			t.Errorf("%v: JSON %s", c.v, got)
		}
		if got := string(render.AppendPlain(nil, c.v)); got != c.plain {
			t.Errorf("%v: plain %s", c.v, got)
		}
	}
}

// Whatever the names and texts, the three formats say the same.
func TestFormatsSayTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-z", éñ\r\n;=+@-]{0,8}`)
		type row struct{ controller, point, unit, value string }
		var rows []row
		tables := [3]*render.Table{{Format: render.JSON}, {Format: render.NDJSON}, {Format: render.CSV, Time: reportjson.Nanoseconds}}
		var out [3][]byte
		for i, w := range tables {
			out[i] = w.Begin(nil)
		}
		for range rapid.IntRange(0, 3).Draw(t, "series") {
			s := render.Series{Controller: text.Draw(t, "controller"), Point: text.Draw(t, "point"), Unit: text.Draw(t, "unit")}
			var values []string
			for range rapid.IntRange(0, 3).Draw(t, "samples") {
				values = append(values, text.Draw(t, "value"))
				rows = append(rows, row{s.Controller, s.Point, s.Unit, values[len(values)-1]})
			}
			for i, w := range tables {
				out[i] = w.BeginSeries(out[i], s)
				for _, v := range values {
					out[i] = w.Sample(out[i], 7, penstock.TextValue(v), penstock.Bad)
				}
				out[i] = w.EndSeries(out[i])
			}
		}
		for i, w := range tables {
			out[i] = w.End(out[i], "")
		}
		var whole struct {
			Series []struct {
				Controller, Point, Unit string
				Samples                 [][]any
			}
		}
		if err := json.Unmarshal(out[0], &whole); err != nil {
			t.Fatalf("%v: %s", err, out[0])
		}
		var fromJSON, fromLines, fromCSV []row
		for _, s := range whole.Series {
			for _, x := range s.Samples {
				fromJSON = append(fromJSON, row{s.Controller, s.Point, s.Unit, x[1].(string)})
			}
		}
		for line := range strings.Lines(string(out[1])) {
			var x struct{ Controller, Point, Unit, Value string }
			if err := json.Unmarshal([]byte(line), &x); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			fromLines = append(fromLines, row{x.Controller, x.Point, x.Unit, x.Value})
		}
		records, err := csv.NewReader(strings.NewReader(string(out[2]))).ReadAll()
		if err != nil {
			t.Fatalf("%v: %s", err, out[2])
		}
		for _, x := range records[1:] {
			fromCSV = append(fromCSV, row{x[0], x[1], x[2], x[4]})
		}
		for i, r := range rows {
			// encoding/csv reads a line end in quotes as \n.
			lf := func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }
			if fromJSON[i] != r || fromLines[i] != r || fromCSV[i] != (row{lf(r.controller), lf(r.point), lf(r.unit), lf(r.value)}) {
				t.Fatalf("%q became %q, %q, %q", r, fromJSON[i], fromLines[i], fromCSV[i])
			}
		}
		if len(fromJSON) != len(rows) || len(fromLines) != len(rows) || len(fromCSV) != len(rows) {
			t.Fatal("not the same number of samples")
		}
	})
}

func BenchmarkAppendResult(b *testing.B) {
	v := penstock.Verdict{Controller: "pump-17", Identity: penstock.SequenceIdentity(1, 17), Result: penstock.Accepted, Committed: penstock.Mark{Epoch: 1, Seq: 16}}
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buf = render.AppendResult(buf[:0], &v)
	}
}
