package script_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/script"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// stage is an engine with what stands around it.
type stage struct {
	engine *script.Engine
	states *script.States
	log    bytes.Buffer
}

func options(source string) script.Options {
	o := script.Options{Config: *script.Default(), Source: source, Now: time.Now}
	o.Config.File, o.Config.Workers = "/etc/penstock/clean.js", 2
	o.Config.Timeout = config.Duration(10 * time.Second) // other tests may keep the processors busy
	return o
}

func open(t testing.TB, source string, change func(*script.Options)) *stage {
	t.Helper()
	s := &stage{}
	o := options(source)
	o.Log = slog.New(slog.NewTextHandler(&s.log, nil))
	var err error
	if o.States, err = script.OpenStates(nil); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&o)
	}
	s.states = o.States
	if s.engine, err = script.New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *stage) run(t testing.TB, r *penstock.Report) script.Outcome {
	t.Helper()
	out, err := s.engine.Run(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const noon = 1_795_348_800_123_456_789

func sample(point string, v penstock.Value) penstock.Sample {
	return penstock.Sample{Point: point, SourceTime: noon, Value: v}
}

func pump(samples ...penstock.Sample) *penstock.Report {
	return &penstock.Report{
		Controller: "pump-17", Identity: penstock.SequenceIdentity(3, 17), Source: "https", ReceivedTime: noon + 5, Samples: samples,
	}
}

func TestNothingChanges(t *testing.T) {
	s := open(t, `export function onReport(report) { return report }`, nil)
	r := pump(
		sample("a", penstock.FloatValue(math.Copysign(0, -1))),
		sample("b", penstock.FloatValue(math.NaN())),
		sample("c", penstock.FloatValue(math.Inf(-1))),
		sample("d", penstock.IntValue(math.MinInt64)),
		sample("e", penstock.UintValue(math.MaxUint64)),
		sample("f", penstock.TextValue("ein \u2028 \x00 \"Text\"\\")),
		sample("g", penstock.BoolValue(true)),
		penstock.Sample{Point: "h", Status: penstock.BadTimeout | 0x400, Native: 7, Flags: penstock.GatewayClock},
		penstock.Sample{Point: "i", SourceTime: math.MinInt64, Value: penstock.IntValue(12), Unit: "m3/h", Flags: penstock.Historical},
	)
	if out := s.run(t, r); out.Changed || out.Dropped || out.Fault != nil {
		t.Errorf("%+v %v", out, out.Fault)
	}
}

// One sample each, and what a line of script makes of it.
func TestSamples(t *testing.T) {
	at := func(v penstock.Value) penstock.Sample { return sample("flow", v) }
	cases := []struct {
		do   string
		give penstock.Sample
		want penstock.Sample
	}{
		{`s.value *= 2`, at(penstock.FloatValue(1.25)), at(penstock.FloatValue(2.5))},
		{`s.value *= 2`, at(penstock.IntValue(4)), at(penstock.IntValue(8))},
		{`s.value /= 8`, at(penstock.IntValue(4)), at(penstock.FloatValue(0.5))},
		{`s.value += 1n`, at(penstock.UintValue(1<<63 + 1)), at(penstock.UintValue(1<<63 + 2))},
		{`s.value -= 1n`, at(penstock.IntValue(math.MinInt64 + 1)), at(penstock.IntValue(math.MinInt64))},
		{`s.value = -s.value`, at(penstock.FloatValue(0)), at(penstock.FloatValue(math.Copysign(0, -1)))},
		{`s.value = 1 / s.value`, at(penstock.FloatValue(math.Copysign(0, -1))), at(penstock.FloatValue(math.Inf(-1)))},
		{`s.value = String(s.value)`, at(penstock.BoolValue(true)), at(penstock.TextValue("true"))},
		{`s.value = s.value === "on"`, at(penstock.TextValue("on")), at(penstock.BoolValue(true))},
		{`s.type = "int64"`, at(penstock.FloatValue(3)), at(penstock.IntValue(3))},
		{`s.value = null; s.status = "BadTimeout"`, at(penstock.FloatValue(3)),
			penstock.Sample{Point: "flow", SourceTime: noon, Status: penstock.BadTimeout}},
		{`s.status = 0x40000000`, at(penstock.FloatValue(3)),
			penstock.Sample{Point: "flow", SourceTime: noon, Value: penstock.FloatValue(3), Status: penstock.Uncertain}},
		{`s.point = "pump/flow"; s.unit = "m3/h"`, at(penstock.FloatValue(3)),
			penstock.Sample{Point: "pump/flow", SourceTime: noon, Value: penstock.FloatValue(3), Unit: "m3/h"}},
		{`s.value++`, penstock.Sample{Point: "flow", Value: penstock.FloatValue(3), Native: 192, Flags: penstock.GatewayClock, Status: 0x400},
			penstock.Sample{Point: "flow", Value: penstock.FloatValue(4), Native: 192, Flags: penstock.GatewayClock, Status: 0x400}},
		{`report.samples = [{...s, point: "copy"}]`, penstock.Sample{Point: "flow", SourceTime: noon, Value: penstock.IntValue(3), Native: 192, Flags: penstock.Historical},
			penstock.Sample{Point: "copy", SourceTime: noon, Value: penstock.IntValue(3), Native: 192, Flags: penstock.Historical}},
		{`report.samples = [{point: "new", value: 1}]`, at(penstock.FloatValue(3)), sample("new", penstock.FloatValue(1))},
		{`report.samples = [{point: "new", value: 1, type: "uint64", timeNs: s.timeNs + 1n}]`, at(penstock.FloatValue(3)),
			penstock.Sample{Point: "new", SourceTime: noon + 1, Value: penstock.UintValue(1)}},
		{`report.samples = report.samples.map(s => ({...s, value: 7}))`, at(penstock.IntValue(3)), at(penstock.IntValue(7))},
	}
	source := "const all = [\n"
	for _, c := range cases {
		source += "(report, s) => { " + c.do + " },\n"
	}
	s := open(t, source+"]\nexport function onReport(report) { for (const s of report.samples) all[report.seq - 1](report, s) }", nil)
	for i, c := range cases {
		t.Run(c.do, func(t *testing.T) {
			r := pump(c.give)
			r.Identity.Seq = uint64(i + 1)
			out := s.run(t, r)
			if out.Fault != nil || !out.Changed || len(out.Samples) != 1 || out.Samples[0] != c.want {
				t.Errorf("%+v %v", out, out.Fault)
			}
			if r.Samples[0] != c.give {
				t.Errorf("the report that was given is %+v", r.Samples[0])
			}
		})
	}
}

// Every way to answer.
func TestAnswers(t *testing.T) {
	cases := map[string]string{
		`return`:                    "same",
		`return report`:             "same",
		`return {...report}`:        "same",
		`return null`:               "dropped",
		`report.samples.length = 0`: "dropped",
		`report.samples = report.samples.filter(() => false)`: "dropped",
		`report.samples.pop()`:                                "b",
		`report.samples.reverse()`:                            "ab",
		`return {samples: report.samples.slice(1)}`:           "a",
		`return 5`:                                               ": TypeError: onReport returned a number: it returns the report",
		`return {}`:                                              "the samples are a undefined, not an array",
		`return Promise.resolve()`:                               "onReport is async",
		`report.controller = "x"`:                                "TypeError: no setter for property",
		`report.samples[0].timeNs += 1n`:                         `samples[0] "b": timeNs is the clock of the controller and is never rewritten`,
		`report.samples[0].value = undefined`:                    `samples[0] "b": the value is a undefined; null stands for no value`,
		`report.samples[0].value = null`:                         `samples/0, point "b": a sample without a value needs a bad status`,
		`report.samples[0].status = "Fine"`:                      `samples/0, point "b": "Fine" is neither the name nor the number of an OPC UA status`,
		`report.samples[0].point = ""`:                           `a point needs a name`,
		`report.samples[0].point = "x".repeat(129)`:              `at most 128 bytes`,
		`report.samples[0].value = 2n ** 64n`:                    `samples[0] "b": the value fits neither int64 nor uint64`,
		`report.samples.push({point: "n", value: 1, timeNs: 5})`: `samples[2] "n": timeNs is a number: it counts nanoseconds in a BigInt`,
		`report.samples.push(7)`:                                 `samples[2]: is a number, not a sample`,
		`report.samples[0].type = "real"`:                        `type "real" is none of`,
		`require("fs")`:                                          `a script is one file without modules: require("fs")`,
		`process.exit()`:                                         `: ReferenceError: 'process' is not defined`,
		`throw "a text"`:                                         `: threw a text`,
		`ctx.state.n = 5n`:                                       `ctx.state cannot be kept`,
		`ctx.state = [1]`:                                        `ctx.state is an object: a array cannot take its place`,
		`ctx.state.x = "x".repeat(5000)`:                         `at most 4096 bytes are kept of a controller`,
		`ctx.state.x = "ä".repeat(3000)`:                         `at most 4096 are kept of a controller`,
	}
	source, lines := "const all = [\n", slices.Sorted(maps.Keys(cases))
	for _, do := range lines {
		source += "(report, ctx) => { " + do + " },\n"
	}
	s := open(t, source+"]\nexport function onReport(report, ctx) { return all[report.seq](report, ctx) }", nil)
	for i, do := range lines {
		t.Run(do, func(t *testing.T) {
			r := pump(sample("b", penstock.FloatValue(1)), sample("a", penstock.FloatValue(2)))
			r.Controller, r.Identity.Seq = fmt.Sprint("pump-", i), uint64(i)
			out := s.run(t, r)
			got := "same"
			switch {
			case out.Fault != nil:
				got = out.Fault.Error()
				// What the answer does wrong is named with onReport's own line.
				if out.Fault.Line != i+2 && out.Fault.Line != len(lines)+3 {
					t.Errorf("line %d is named, not %d", out.Fault.Line, i+2)
				}
			case out.Dropped:
				got = "dropped"
			case out.Changed:
				got = ""
			}
			for _, s := range out.Samples {
				got += s.Point
			}
			if want := cases[do]; !strings.Contains(got, want) {
				t.Errorf("%q, not %q", got, want)
			}
		})
	}
}

func TestWaysToExport(t *testing.T) {
	for _, source := range []string{
		`export function onReport() { return null }`,
		`export default () => null`,
		`export default { onReport() { return null } }`,
		`module.exports = { onReport: () => null }`,
		`exports.onReport = () => null`,
		`module.exports = () => null`,
	} {
		if out := open(t, source, nil).run(t, pump(sample("a", penstock.IntValue(1)))); !out.Dropped {
			t.Errorf("%s: %v", source, out.Fault)
		}
	}
}

func TestScriptsThatDoNotLoad(t *testing.T) {
	for source, want := range map[string]string{
		"export function onReport(r) {\n  let = ;\n}": "clean.js:2",
		"\nthrow new Error('not today')":              "clean.js:2:16: Error: not today",
		"\n\nfor (;;);":                               "took longer than",
		"\nimport fs from 'fs'":                       "a script is one file without modules",
		"\nawait new Promise(() => {})":               "waits at its top level",
		"export const x = 1":                          "exports no function onReport",
		"export let onReport = 5":                     "exports no function onReport",
	} {
		o := options(source)
		if strings.Contains(source, "for (;;)") {
			o.Config.Timeout = config.Duration(20 * time.Millisecond)
		}
		o.Log = slog.New(slog.DiscardHandler)
		_, err := script.New(o)
		if err == nil || !strings.Contains(err.Error(), want) || penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("%q: %v, not %q", source, err, want)
		}
	}
}

func TestState(t *testing.T) {
	s := open(t, `export function onReport(report, ctx) {
  ctx.state.seen = (ctx.state.seen ?? 0) + 1
  report.samples = [{ point: "seen", value: ctx.state.seen }]
  if (ctx.state.seen === 3) ctx.state = {}
  if (ctx.state.seen === 2 && report.seq === 99) throw new Error("no")
}`, nil)
	seen := func(r *penstock.Report) float64 {
		out := s.run(t, r)
		if out.Fault != nil {
			return -1
		}
		return out.Samples[0].Value.Float()
	}
	other := pump()
	other.Controller = "pump-18"
	bad := pump()
	bad.Identity.Seq = 99
	for i, want := range []struct {
		r *penstock.Report
		n float64
	}{{pump(), 1}, {bad, -1}, {pump(), 2}, {other, 1}, {pump(), 3}, {pump(), 1}, {other, 2}} {
		if got := seen(want.r); got != want.n {
			t.Errorf("report %d: %v, not %v", i, got, want.n)
		}
	}
}

func TestConsole(t *testing.T) {
	s := open(t, `export function onReport(report, ctx) {
  console.log("flow is", report.samples[0].value, [1, -0, 5n, null], { a: { b: { c: { d: 1 } } } }, new Map())
  console.warn(report)
  if (report.seq === 18) { console.error("before"); nothing() }
}`, nil)
	out := s.run(t, pump(sample("flow", penstock.FloatValue(1.5))))
	want := []script.Line{
		{slog.LevelInfo, `flow is 1.5 [1, -0, 5n, null] { a: { b: { c: [Object] } } } {}`},
		{slog.LevelWarn, `{ controller: "pump-17", source: "https", epoch: 3, seq: 17, key: undefined, samples: [{ point: "flow", value: 1.5, unit: "", status: "Good", timeNs: 1795348800123456789n, type: "float64" }] }`},
	}
	if len(out.Lines) != 2 || out.Lines[0] != want[0] || out.Lines[1] != want[1] {
		t.Errorf("%q", out.Lines)
	}
	bad := pump(sample("flow", penstock.FloatValue(1.5)))
	bad.Identity.Seq = 18
	if out := s.run(t, bad); out.Fault == nil || len(out.Lines) != 3 || out.Lines[2].Text != "before" {
		t.Errorf("%q %v", out.Lines, out.Fault)
	}
	for _, want := range []string{`level=INFO msg="flow is 1.5`, "script=clean.js controller=pump-17", "the script failed on a report", "clean.js:4", "goes on unchanged"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, &s.log)
		}
	}
}
