package pipeline_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"hash/crc32"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"go.uber.org/goleak"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/fleet/credential"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/pipeline"
	"github.com/penstock/penstock/internal/pipeline/forwarded"
	"github.com/penstock/penstock/link"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when everything is received.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).UnixNano()

// noTable forgets everything: the fleet of a test is never opened again.
type noTable struct{}

func (noTable) Put(_, _ []byte) error                    { return nil }
func (noTable) PutAll(map[string][]byte) error           { return nil }
func (noTable) Delete([]byte) error                      { return nil }
func (noTable) Scan(func(key, value []byte) error) error { return nil }

// ticket is resolved already.
type ticket struct{ outcomes []penstock.Outcome }

func (t ticket) Wait(context.Context) ([]penstock.Outcome, error) { return t.outcomes, nil }

// recorder stands for the intake and the observer.
type recorder struct {
	mu     sync.Mutex
	judged []intake.Judged
	calls  int
	steps  []string
	counts map[string]int
}

func (r *recorder) Admit(js []intake.Judged) penstock.Ticket {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	var t ticket
	for _, j := range js {
		r.judged = append(r.judged, copied(j))
		o := penstock.Outcome{Err: j.Err}
		for _, item := range j.Reports {
			v := penstock.Verdict{Controller: item.Report.Controller, Result: penstock.Accepted}
			if item.Reason != "" {
				v.Result = penstock.Rejected
			}
			o.Verdicts = append(o.Verdicts, v)
		}
		t.outcomes = append(t.outcomes, o)
	}
	return t
}

// copied returns what is judged with memory of its own: the pipeline's is used
// again.
func copied(j intake.Judged) intake.Judged {
	j.Reports = slices.Clone(j.Reports)
	for i := range j.Reports {
		r := *j.Reports[i].Report
		r.Samples = slices.Clone(r.Samples)
		j.Reports[i].Report = &r
	}
	return j
}

func (r *recorder) Step(name string) func(time.Duration, int) {
	return func(d time.Duration, n int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if d < 0 {
			panic("a step took less than no time")
		}
		r.steps = append(r.steps, name)
		r.counts[name] += n
	}
}

// bench is a pipeline with what stands around it.
type bench struct {
	recorder
	now      time.Time
	log      bytes.Buffer
	fleet    *fleet.Fleet
	book     *evidence.Book
	mappings map[string]pipeline.Format
	pipeline *pipeline.Pipeline
	token    string // scope pump-* and tank-1
}

func newBench(t testing.TB, cfg pipeline.Config, o fleet.Options) *bench {
	t.Helper()
	return newBenchWith(t, cfg, o, func(*pipeline.Deps) {})
}

func newBenchWith(t testing.TB, cfg pipeline.Config, o fleet.Options, change func(*pipeline.Deps)) *bench {
	t.Helper()
	b := &bench{recorder: recorder{counts: map[string]int{}}, now: time.Unix(0, noon)}
	b.book = evidence.NewBook(func() time.Time { return b.now })
	o.Now, o.Rand = func() time.Time { return b.now }, rand.Reader
	var err error
	if b.fleet, err = fleet.Open(noTable{}, o); err != nil {
		t.Fatal(err)
	}
	b.token = b.grant(t, "pump-*", "tank-1")
	deps := pipeline.Deps{
		Fleet: b.fleet, Intake: b, Observer: b, Formats: formats(), Now: o.Now,
		Log: slog.New(slog.NewJSONHandler(&b.log, nil)), Evidence: b.book, Mapping: b.find,
	}
	change(&deps)
	b.pipeline, err = pipeline.New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// declare makes a mapping known.
func (b *bench) declare(t testing.TB, name string, decode func([]byte, *pipeline.Batch) error) {
	t.Helper()
	b.mappings = map[string]pipeline.Format{name: {Decode: decode}}
}

func (b *bench) find(name string) (pipeline.Format, bool) {
	f, ok := b.mappings[name]
	return f, ok
}

func (b *bench) grant(t testing.TB, scope ...string) string {
	t.Helper()
	token, _, err := b.fleet.Add(credential.Grant{Label: "test", Role: penstock.RoleController, Scope: scope})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// formats are the real ones and some that behave badly.
func formats() map[string]pipeline.Format {
	all := pipeline.StandardFormats()
	all["panic"] = pipeline.Format{Decode: func([]byte, *pipeline.Batch) error { panic("poison") }}
	all["empty"] = pipeline.Format{Decode: func([]byte, *pipeline.Batch) error { return nil }}
	literal := pipeline.BinaryFormat()
	literal.Literal = true
	all["literal"] = literal
	all[link.ForwardedType] = forwarded.Format()
	return all
}

// envelope returns a binary body of the reports, as a good sender sends it.
func (b *bench) envelope(reports ...*penstock.Report) penstock.Envelope {
	var body []byte
	for _, r := range reports {
		body = link.AppendReport(body, r)
	}
	return penstock.Envelope{
		Source: "https", Peer: "192.0.2.7:4711", Credential: penstock.Credential{Token: b.token},
		ContentType: link.MediaType, Body: body, ReceivedTime: noon,
	}
}

// submit returns what became of one envelope.
func (b *bench) submit(t testing.TB, e penstock.Envelope) intake.Judged {
	t.Helper()
	b.judged = nil
	if _, err := b.pipeline.Submit(t.Context(), []penstock.Envelope{e}).Wait(t.Context()); err != nil || len(b.judged) != 1 {
		t.Fatalf("the intake got %d envelopes", len(b.judged))
	}
	return b.judged[0]
}

// send returns what became of one report, which must reach the intake.
func (b *bench) send(t testing.TB, r *penstock.Report) intake.Item {
	t.Helper()
	j := b.submit(t, b.envelope(r))
	if j.Err != nil || len(j.Reports) != 1 {
		t.Fatalf("judged %+v", j)
	}
	return j.Reports[0]
}

func report(controller string, seq uint64, samples ...penstock.Sample) *penstock.Report {
	return &penstock.Report{Controller: controller, Identity: penstock.SequenceIdentity(1, seq), Samples: samples}
}

func sample(point string, v penstock.Value) penstock.Sample {
	return penstock.Sample{Point: point, SourceTime: noon, Value: v}
}

func wantRefused(t *testing.T, j intake.Judged, reason penstock.Reason, code penstock.Code, step string) {
	t.Helper()
	if j.Err == nil || j.Reason != reason || penstock.CodeOf(j.Err) != code || !strings.HasPrefix(j.Err.Error(), step+": ") {
		t.Fatalf("judged %q %v (%v), want %q %v of %s", j.Reason, j.Err, penstock.CodeOf(j.Err), reason, code, step)
	}
	if j.Reports != nil {
		t.Error("a refused envelope has reports")
	}
}

func wantItem(t *testing.T, item intake.Item, reason penstock.Reason, trusted bool, step string) {
	t.Helper()
	if item.Reason != reason || reason != "" && !strings.HasPrefix(item.Detail, step+": ") {
		t.Fatalf("item %q %q, want %q of %s", item.Reason, item.Detail, reason, step)
	}
	if reason != "" && item.Trusted != trusted {
		t.Fatalf("trusted %v, want %v: %q", item.Trusted, trusted, item.Detail)
	}
}

func TestReportPasses(t *testing.T) {
	b := newBench(t, nil, fleet.Options{})
	sent := report("pump-17", 1, sample("flow", penstock.FloatValue(12.5)), sample("on", penstock.BoolValue(true)))
	sent.Samples[1].SourceTime, sent.Samples[1].Flags = 0, penstock.GatewayClock
	item := b.send(t, sent)
	wantItem(t, item, "", false, "")
	got := item.Report
	if got.Controller != "pump-17" || got.Identity != sent.Identity || got.Source != "https" || got.ReceivedTime != noon || got.AcceptedTime != 0 {
		t.Errorf("report %+v", got)
	}
	if want := link.Fingerprint(link.AppendReport(nil, sent)); got.Fingerprint != want {
		t.Errorf("fingerprint %x, want %x: that of what was sent", got.Fingerprint, want)
	}
	if got.Samples[0] != sent.Samples[0] || got.Samples[1].SourceTime != noon || got.Samples[1].Flags != penstock.GatewayClock {
		t.Errorf("samples %+v", got.Samples)
	}
	want := "authenticate limit log checksum decode scope register validate stamp learn"
	if steps := strings.Join(b.steps, " "); steps != want {
		t.Errorf("steps %s, want %s", steps, want)
	}
	if p := b.fleet.Points("pump-17"); len(p) != 2 {
		t.Errorf("the fleet learned %+v", p)
	}
	if c, _ := b.fleet.Controller("pump-17"); c.LastSeen != noon || c.LastIdentity != sent.Identity {
		t.Errorf("the fleet saw %+v", c)
	}
}

// Envelopes of one call stay in their order, and one that is refused, or makes a
// step panic, touches no other.
func TestEnvelopesOfOneCall(t *testing.T) {
	b := newBench(t, nil, fleet.Options{})
	good := b.envelope(report("pump-1", 1, sample("a", penstock.FloatValue(1))), report("pump-2", 1))
	poison, stranger := good, good
	poison.ContentType = "panic"
	stranger.Credential.Token = "pst_"
	b.pipeline.Submit(t.Context(), []penstock.Envelope{good, poison, stranger, good})
	if b.calls != 1 || len(b.judged) != 4 {
		t.Fatalf("%d calls of the intake with %d envelopes", b.calls, len(b.judged))
	}
	for _, i := range []int{0, 3} {
		j := b.judged[i]
		if j.Err != nil || len(j.Reports) != 2 || j.Reports[0].Report.Controller != "pump-1" || j.Reports[1].Report.Controller != "pump-2" {
			t.Errorf("envelope %d: %+v", i, j)
		}
	}
	wantRefused(t, b.judged[1], penstock.ReasonMalformed, penstock.Internal, "decode")
	wantRefused(t, b.judged[2], penstock.ReasonUnauthenticated, penstock.Unauthenticated, "authenticate")
	if log := b.log.String(); !strings.Contains(log, `"stage":"decode"`) || !strings.Contains(log, "poison") || !strings.Contains(log, "pipeline_test.go") {
		t.Errorf("the log does not name the step, the panic and where it was: %s", log)
	}
	if n := b.counts["validate"]; n != 4 {
		t.Errorf("validate saw %d reports, want 4", n)
	}
}

// A report that is refused goes no further and teaches nothing; its neighbours do.
func TestReportsOfOneEnvelope(t *testing.T) {
	b := newBench(t, nil, fleet.Options{})
	j := b.submit(t, b.envelope(
		report("valve-1", 1, sample("a", penstock.FloatValue(1))),
		report("pump-1", 1, penstock.Sample{Point: "late", Value: penstock.FloatValue(1), SourceTime: noon + int64(48*time.Hour)}),
		report("pump-1", 2, sample("a", penstock.FloatValue(1))),
		report("pump-1", 3, sample("a", penstock.TextValue("x"))),
		report("pump-1", 4, sample("a", penstock.IntValue(2))),
	))
	if j.Err != nil || len(j.Reports) != 5 {
		t.Fatalf("%+v", j)
	}
	wantItem(t, j.Reports[0], penstock.ReasonForbidden, false, "scope")
	wantItem(t, j.Reports[1], penstock.ReasonTime, true, "validate")
	wantItem(t, j.Reports[2], "", false, "")
	wantItem(t, j.Reports[3], penstock.ReasonType, true, "learn")
	wantItem(t, j.Reports[4], "", false, "")
	if got := j.Reports[4].Report.Samples[0].Value; got != penstock.FloatValue(2) {
		t.Errorf("12 did not become a float at a float point: %v", got.Kind())
	}
	if p := b.fleet.Points("pump-1"); len(p) != 1 || p[0].Name != "a" {
		t.Errorf("points %+v", p)
	}
	if _, known := b.fleet.Controller("valve-1"); known {
		t.Error("a forbidden report made its controller known")
	}
}

// What the first report of an envelope teaches is not forgotten because the last
// one has nothing new.
func TestEveryReportOfAnEnvelopeTeaches(t *testing.T) {
	b := newBench(t, nil, fleet.Options{})
	b.send(t, report("pump-1", 1, sample("a", penstock.FloatValue(1))))
	b.submit(t, b.envelope(
		report("pump-1", 2, sample("b", penstock.FloatValue(1))),
		report("pump-1", 3, sample("a", penstock.FloatValue(1))),
	))
	if p := b.fleet.Points("pump-1"); len(p) != 2 {
		t.Errorf("points %+v", p)
	}
}

// Whatever a credential's scope is, no report of a controller outside of it is
// ever admitted or books anything on that controller.
func TestScopeMatrix(t *testing.T) {
	b := newBench(t, nil, fleet.Options{})
	controllers := []string{"pump-1", "pump-2", "pump-10", "Pump-1", "tank-1", "x"}
	for _, pattern := range append(controllers, "*", "pump-*", "*-1", "pump-1*") {
		b.token = b.grant(t, pattern)
		for i, c := range controllers {
			for _, id := range []penstock.Identity{penstock.SequenceIdentity(1, uint64(i+1)), penstock.KeyIdentity("k"), {}} {
				r := report(c, 1, sample("a", penstock.FloatValue(1)))
				r.Identity = id
				if (penstock.Scope{pattern}).Covers(c) {
					wantItem(t, b.send(t, r), "", false, "")
				} else {
					wantItem(t, b.send(t, r), penstock.ReasonForbidden, false, "scope")
				}
			}
		}
	}
}

// Whatever order is accepted: strangers, senders over their limit and damaged
// bytes are never decoded, a point keeps its type, and the steps run as listed.
func TestEveryOrderThatIsAccepted(t *testing.T) {
	accepted := 0
	for cfg := range orders(pipeline.Default()) {
		if cfg.Validate() != nil {
			continue
		}
		accepted++
		b := newBench(t, cfg, fleet.Options{})
		good := b.envelope(report("pump-1", 1, sample("a", penstock.FloatValue(1))))
		good.HasChecksum, good.Checksum = true, crc32.ChecksumIEEE(good.Body)
		stranger, damaged, late := good, good, good
		stranger.Credential.Token = "wrong"
		damaged.Checksum++
		wantRefused(t, b.submit(t, stranger), penstock.ReasonUnauthenticated, penstock.Unauthenticated, "authenticate")
		wantRefused(t, b.submit(t, damaged), penstock.ReasonChecksum, penstock.Corrupt, "checksum")
		if b.counts["decode"] != 0 {
			t.Fatalf("decoded too early: %v", b.steps)
		}
		b.steps = nil
		if j := b.submit(t, good); j.Err != nil || j.Reports[0].Reason != "" {
			t.Fatalf("%+v", j)
		}
		var want []string
		for i := range cfg {
			name := stepName(t, cfg[i])
			want = append(want, name)
			if name == "decode" {
				want = append(want, "scope", "register")
			}
		}
		if want = append(want, "learn"); !slices.Equal(b.steps, want) {
			t.Fatalf("steps %v, want %v", b.steps, want)
		}
		late.HasChecksum, late.Body = false, b.envelope(report("pump-1", 2, sample("a", penstock.TextValue("x")))).Body
		wantItem(t, b.submit(t, late).Reports[0], penstock.ReasonType, true, "validate")
	}
	if accepted != 16 {
		t.Errorf("%d orders are accepted, want 16", accepted)
	}
}

// orders yields every order of the steps.
func orders(cfg pipeline.Config) iter.Seq[pipeline.Config] {
	return func(yield func(pipeline.Config) bool) {
		var permute func(k int) bool
		permute = func(k int) bool {
			if k == len(cfg) {
				return yield(slices.Clone(cfg))
			}
			for i := k; i < len(cfg); i++ {
				cfg[k], cfg[i] = cfg[i], cfg[k]
				more := permute(k + 1)
				cfg[k], cfg[i] = cfg[i], cfg[k]
				if !more {
					return false
				}
			}
			return true
		}
		permute(0)
	}
}

// stepName returns the key under which the step is printed.
func stepName(t *testing.T, s pipeline.Step) string {
	t.Helper()
	text, err := yaml.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(string(text), ":")
	return name
}

func TestPanicsDoNotFloodTheLog(t *testing.T) {
	b := newBench(t, nil, fleet.Options{})
	e := b.envelope()
	e.ContentType = "panic"
	for range 50 {
		b.submit(t, e)
	}
	if n := strings.Count(b.log.String(), "panicked"); n != 5 {
		t.Errorf("%d panics are logged, want 5 a second", n)
	}
	b.now = b.now.Add(time.Second)
	b.submit(t, e)
	if !strings.Contains(b.log.String(), `"suppressed":45`) {
		t.Error("the others are not counted")
	}
}

func TestManySenders(t *testing.T) {
	b := newBench(t, pipeline.Default()[:0], fleet.Options{})
	var senders sync.WaitGroup
	for i := range 8 {
		senders.Go(func() {
			for n := range 100 {
				v := penstock.IntValue(int64(n))
				if i == 3 && n == 50 {
					v = penstock.FloatValue(0.5)
				}
				e := b.envelope(report("pump-1", uint64(i*100+n+1), sample("a", v), sample("b", penstock.BoolValue(true))))
				e.ContentType = "literal"
				b.pipeline.Submit(t.Context(), []penstock.Envelope{e})
			}
		})
	}
	senders.Wait()
	if len(b.judged) != 800 {
		t.Fatalf("%d envelopes", len(b.judged))
	}
	for _, j := range b.judged {
		if j.Err != nil || j.Reports[0].Reason != "" {
			t.Fatalf("%+v", j)
		}
	}
	if p := b.fleet.Points("pump-1"); p[0].Kind != penstock.Float64 {
		t.Errorf("%+v", p)
	}
}
