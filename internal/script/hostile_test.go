package script_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/script"
	"github.com/penstock/penstock/internal/testkit"
)

// What a script may do to harm the gateway, in the second line of its file, with the
// way in which it is stopped.
var hostile = []struct {
	name, body string
	kind       script.Kind
}{
	{"endless loop", `for (;;);`, script.Slow},
	{"endless loop that catches", `for (;;) { try { for (;;); } catch { } finally { for (;;); } }`, script.Slow},
	{"endless recursion", `function f() { return f() + 1 } f()`, script.Deep},
	{"endless allocation", `const all = []; for (;;) all.push(new Array(1000).fill(1))`, script.Hungry},
	{"endless allocation that catches", `const all = []; for (;;) try { for (;;) all.push({ all }) } catch { all.length = 0 }`, script.Slow},
	{"one huge string", `"x".repeat(2 ** 28)`, script.Hungry},
	{"strings that double", `let s = "x"; for (;;) s = (s + s).toUpperCase()`, ""},
	{"typed array", `new Uint8Array(2 ** 30)`, script.Hungry},
	{"regular expression", `/(a+)+$/.test("a".repeat(40) + "b")`, script.Slow},
	{"regular expression, nested", `new RegExp("(".repeat(300) + ")".repeat(300))`, script.Threw},
	{"deep JSON", `JSON.parse("[".repeat(1e4))`, script.Deep},
	{"deep text", `let a = []; for (let i = 0; i < 1e4; i++) a = [a]; String(a)`, script.Deep},
	{"deep source", `eval("[".repeat(1e4) + "]".repeat(1e4))`, script.Deep},
	{"deep source of functions", `new Function("(()=>".repeat(6e3) + "1" + ")".repeat(6e3))`, script.Deep},
	{"a product without end", `let x = 1n; for (;;) x = (x * 3n) & 0xffffffffffffffffn`, script.Slow},
	{"waiting", `Atomics.wait(new Int32Array(new SharedArrayBuffer(8)), 0, 0, 1e6)`, script.Threw},
	{"throwing getter", `report.samples = [{ get point() { throw new Error("no") } }]`, script.Threw},
	{"endless getter", `report.samples = [{ get point() { for (;;); } }]`, script.Slow},
	{"endless proxy", `report.samples = [new Proxy({}, { get() { for (;;); } })]`, script.Slow},
	{"proxy without end", `const p = new Proxy({}, { get(t, k, r) { return r[k] } }); p.x`, script.Deep},
	{"proxy of samples", `report.samples = new Proxy([], { get(t, k) { return k === "length" ? 2 ** 31 : t[k] } })`, script.Threw},
	{"proxy of an answer", `return new Proxy(report, { get() { return 5 } })`, script.Threw},
	{"a text of 10 MB", `report.samples[0].value = "x".repeat(1e7)`, script.Threw},
	{"a name of 1 MB", `report.samples[0].point = "x".repeat(1e6)`, script.Threw},
	{"an error of 1 MB", `throw new Error("x".repeat(1e6))`, script.Threw},
	{"too many samples", `for (let i = 0; i < 7e4; i++) report.samples.push(report.samples[0])`, ""},
	{"state that grows", `ctx.state.all = "x".repeat(1e6)`, script.Threw},
	{"state in a circle", `ctx.state.me = ctx.state`, script.Threw},
	{"state that is deep", `let s = ctx.state; for (let i = 0; i < 500; i++) s = s.next = {}`, ""},
	{"state that loops", `ctx.state.x = { toJSON() { for (;;); } }`, script.Slow},
	{"state that is no JSON", `ctx.state.toJSON = () => undefined`, script.Threw},
	{"answer of broken JSON", `ctx.state.toJSON = () => "x"; report.samples[0].value = 7; Object.prototype.toJSON = 1`, script.Threw},
	{"prototype pollution", `Object.prototype.polluted = 1`, script.Threw},
	{"prototype pollution by an array", `Array.prototype[5] = 1`, script.Threw},
	{"prototype pollution by data", `const o = JSON.parse('{"__proto__": {"polluted": 1}}'); for (const k in o) for (const j in o[k]) ({})[k][j] = 1`, script.Threw},
	{"import", `import("fs").then(() => 0); null.x`, script.Threw},
	{"a console without end", `const s = "x".repeat(1e6); for (;;) console.log(s)`, script.Slow},
	{"the gateway's own functions", `delete globalThis.console; run(); `, script.Threw},
}

// Every hostile script is stopped and named, and the next report goes through.
func TestHostileScripts(t *testing.T) {
	for _, c := range hostile {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, "export function onReport(report, ctx) {\n  if (report.seq === 17) { "+c.body+" }\n}", func(o *script.Options) {
				o.Config.Workers, o.Config.Memory = 1, 4<<20
				if c.kind == script.Slow {
					o.Config.Timeout = config.Duration(200 * time.Millisecond)
				}
				if strings.Contains(c.name, "10 MB") {
					o.Config.Memory = 64 << 20
				}
			})
			r := pump(sample("flow", penstock.FloatValue(1)))
			out := s.run(t, r)
			f := out.Fault
			if f == nil || !fits(f.Kind, c.kind) || f.File != "clean.js" || f.Line < 1 || f.Line > 2 || len(f.Error()) > 500 {
				t.Errorf("%+v", f)
			}
			if out.Changed || out.Dropped {
				t.Errorf("the report does not go on as it was: %+v", out)
			}
			r.Controller, r.Identity.Seq = "pump-18", 18
			testkit.Eventually(t, func() bool { return s.passes(t, r) }, "no next report goes through")
			if strings.Contains(s.log.String(), "xxxxxxxxxx"+strings.Repeat("x", 2000)) {
				t.Error("the log has what should have been cut")
			}
		})
	}
}

// passes tells whether a report goes through: not while the worker is held.
func (s *stage) passes(t *testing.T, r *penstock.Report) bool {
	out, err := s.engine.Run(t.Context(), r)
	return err == nil && out.Fault == nil
}

// fits tells whether a script was stopped in the way that is expected, or in one
// that a small or busy machine comes to before it.
func fits(got, want script.Kind) bool {
	return got == want || want == "" || got == script.Hungry || want == script.Slow && got == script.Stuck
}

// longSearch returns the length of a text in which one search, which cannot be
// stopped, takes about the time.
func longSearch(t *testing.T, want time.Duration) int {
	const length = 3000
	s := open(t, searching(length), nil)
	quickest := time.Hour
	for range 5 {
		started := time.Now()
		if out := s.run(t, pump()); out.Fault != nil {
			t.Fatal(out.Fault)
		}
		quickest = min(quickest, time.Since(started))
	}
	return int(length * math.Sqrt(want.Seconds()/quickest.Seconds()))
}

func searching(length int) string {
	return fmt.Sprintf(`const text = "a".repeat(%d)
export function onReport(report) {
  if (report.seq === 17) (text + text).indexOf(text + "b")
}`, length)
}

// An operation that cannot be stopped holds its worker alone: who waited is let go,
// another worker goes on, and the worker comes back. When all are held, nobody waits.
func TestStuckWorkers(t *testing.T) {
	length := longSearch(t, 2*time.Second)
	stuck, fine := pump(sample("flow", penstock.FloatValue(1))), pump(sample("flow", penstock.FloatValue(1)))
	fine.Controller, fine.Identity.Seq = "pump-18", 18
	for workers := 1; workers <= 2; workers++ {
		s := open(t, searching(length), func(o *script.Options) {
			o.Config.Workers, o.Config.Timeout = workers, config.Duration(150*time.Millisecond)
		})
		if f := s.run(t, stuck).Fault; f == nil || f.Kind != script.Stuck || f.Line != 2 || f.File != "clean.js" {
			t.Fatalf("%+v", f)
		}
		held := s.engine.Stuck() // as long as the operation goes on
		out, err := s.engine.Run(t.Context(), fine)
		if still := s.engine.Stuck(); workers == 1 && held == 1 && still == 1 {
			if f := out.Fault; err != nil || f == nil || f.Kind != script.Stuck || out.Took > time.Second {
				t.Errorf("with every worker held: %+v", out)
			}
		}
		testkit.Eventually(t, func() bool { return s.passes(t, fine) }, "no other report goes through")
		testkit.Eventually(t, func() bool { return s.engine.Stuck() == 0 }, "the worker does not come back")
	}
}

// What a failing script does with its report is what the configuration says.
func TestOnError(t *testing.T) {
	for on, want := range map[script.OnError]script.Outcome{
		script.Pass:         {},
		script.ToQuarantine: {Quarantine: true},
		script.Reject:       {Rejected: true},
	} {
		s := open(t, `export function onReport() { throw new Error("no") }`, func(o *script.Options) { o.Config.OnError = on })
		out := s.run(t, pump())
		if out.Fault == nil || out.Quarantine != want.Quarantine || out.Rejected != want.Rejected || out.Changed || out.Dropped {
			t.Errorf("%s: %+v", on, out)
		}
	}
}
