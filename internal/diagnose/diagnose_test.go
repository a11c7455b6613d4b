package diagnose_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/diagnose"
	"github.com/penstock/penstock/internal/diagnose/signal"
	"github.com/penstock/penstock/internal/evidence"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// plant is a watch with controllers that report every ten seconds, in steps.
type plant struct {
	t     *testing.T
	now   time.Time
	step  time.Duration
	book  *evidence.Book
	watch *diagnose.Watch
	known []diagnose.Known
	seq   map[string]uint64
	facts diagnose.Facts // what else there is
	skew  map[string]time.Duration
}

func newPlant(t *testing.T, names ...string) *plant {
	t.Helper()
	c := diagnose.Default()
	p := &plant{t: t, now: noon, step: c.Step(), watch: diagnose.New(c, noon), seq: map[string]uint64{}, skew: map[string]time.Duration{}}
	p.book = evidence.NewBook(func() time.Time { return p.now })
	for _, n := range names {
		p.known = append(p.known, diagnose.Known{Name: n, Site: "north", Source: "link"})
	}
	return p
}

// report has a controller report.
func (p *plant) report(name string) {
	p.seq[name]++
	source := p.now.Add(p.skew[name] - 200*time.Millisecond)
	p.watch.Arrived(diagnose.Arrival{
		Controller: name, Identity: penstock.SequenceIdentity(1, p.seq[name]), SourceTime: source.UnixNano(),
		Received: p.now.UnixNano(), Admitted: p.now.Add(time.Millisecond).UnixNano(),
	})
	p.watch.Settled(name, diagnose.Hops{Accepted: p.now.UnixNano(), Stored: p.now.Add(30 * time.Millisecond).UnixNano()})
}

// run lets steps pass in which the named report, and judges after each.
func (p *plant) run(steps int, each func(), reporting ...string) {
	for range steps {
		for range 2 {
			p.now = p.now.Add(p.step / 2)
			for _, name := range reporting {
				p.report(name)
			}
			if each != nil {
				each()
			}
		}
		f := p.facts
		f.Now, f.Book, f.Controllers = p.now, p.book, p.known
		p.watch.Step(f)
	}
}

func (p *plant) verdict(name string) diagnose.Verdict {
	p.t.Helper()
	d, ok := p.watch.Detail(name, p.now)
	if !ok {
		p.t.Fatalf("nobody knows %s", name)
	}
	return d.Verdict
}

func (p *plant) want(name string, cause diagnose.Cause, rule string) diagnose.Verdict {
	p.t.Helper()
	v := p.verdict(name)
	if v.Cause != cause || rule != "" && v.Rule != rule {
		p.t.Errorf("%s: %s %v by %q (%.2f), for %q against %q; want %s by %q", name, v.Cause, v.Between, v.Rule, v.Confidence, v.For, v.Against, cause, rule)
	}
	if v.Cause != diagnose.Healthy && (len(v.For) == 0 || v.Next == "" || v.Send == "" || v.Since.IsZero() || v.Confidence <= 0.3 || v.Confidence > 1) {
		p.t.Errorf("%s: the verdict lacks something: %+v", name, v)
	}
	return v
}

func settled(t *testing.T) *plant {
	p := newPlant(t, "a", "b", "c", "d")
	p.run(12, nil, "a", "b", "c", "d")
	for _, n := range []string{"a", "d"} {
		p.want(n, diagnose.Healthy, "")
	}
	return p
}

func TestSilentAloneIsUnclear(t *testing.T) {
	p := settled(t)
	p.run(6, nil, "a", "b", "c")
	v := p.want("d", diagnose.Unclear, "silent-alone")
	if v.Between != [2]diagnose.Cause{diagnose.Controller, diagnose.Physical} && v.Between != [2]diagnose.Cause{diagnose.Physical, diagnose.Controller} {
		t.Errorf("between %v", v.Between)
	}
	p.want("a", diagnose.Healthy, "")
	p.run(6, nil, "a", "b", "c", "d")
	p.want("d", diagnose.Healthy, "")
}

func TestSilentWithALinkThatAnswersIsTheController(t *testing.T) {
	p := newPlant(t, "a", "b", "c", "d")
	beat := func() { p.book.Controller("d").Count(evidence.Received) }
	p.run(12, beat, "a", "b", "c", "d")
	p.run(8, beat, "a", "b", "c")
	p.want("d", diagnose.Controller, "hangs")
}

func TestASiteThatIsSilentIsTheNetwork(t *testing.T) {
	p := newPlant(t, "a", "b", "c", "d", "e")
	p.known[4].Site = "south"
	p.run(12, nil, "a", "b", "c", "d", "e")
	p.run(6, nil, "e")
	v := p.want("b", diagnose.Network, "site-shares-it")
	if v.Scope != (diagnose.Scope{Of: diagnose.OfSite, Name: "north"}) || !strings.Contains(strings.Join(v.For, ";"), "3 of 3 others at the site north") {
		t.Errorf("%+v %q", v.Scope, v.For)
	}
	o := p.watch.Overview(p.now, diagnose.Filter{})
	if len(o.Groups) != 1 || len(o.Groups[0].Controllers) != 4 || o.Pulses[diagnose.Silent] != 4 || o.Pulses[diagnose.Reporting] != 1 {
		t.Errorf("%+v", o)
	}
	if o = p.watch.Overview(p.now, diagnose.Filter{Site: "south"}); len(o.Groups) != 0 || o.Pulses[diagnose.Reporting] != 1 {
		t.Errorf("%+v", o)
	}
	if o = p.watch.Overview(p.now, diagnose.Filter{Since: p.now}); len(o.Groups) != 0 {
		t.Errorf("%+v", o)
	}
}

// What all sites of a source have is one cause, and not one a site.
func TestASourceThatIsSilentIsOneCause(t *testing.T) {
	names := strings.Split("abcdefghijklmnop", "")
	p := newPlant(t, names...)
	for i := range p.known {
		p.known[i].Site = []string{"north", "south", "east", "west"}[i/4]
		if i >= 12 {
			p.known[i].Source = "https"
		}
	}
	p.run(12, nil, names...)
	p.run(8, nil, "m", "n", "o", "p")
	if v := p.want("a", diagnose.Unclear, "sites-share-it"); v.Scope != (diagnose.Scope{Of: diagnose.OfSource, Name: "link"}) {
		t.Errorf("%+v", v.Scope)
	}
	if o := p.watch.Overview(p.now, diagnose.Filter{}); len(o.Groups) != 1 || len(o.Groups[0].Controllers) != 12 {
		t.Errorf("%+v", o.Groups)
	}
}

// A radio that faded until nothing came is a radio for as long as the silence lasts.
func TestADecayIsRememberedThroughTheSilence(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	p := newPlant(t, names...)
	level := -70.0
	tell := func() {
		for _, n := range names {
			p.book.Controller(n).Signal(evidence.RSSI, level)
		}
	}
	p.run(20, tell, names...)
	level = -97
	p.run(3, tell, names...)
	for hours := range 3 {
		p.run(100, nil)
		v := p.want("a", diagnose.Physical, "")
		if text := strings.Join(v.For, ";"); !strings.Contains(text, "RSSI was, before it fell silent, -97.0 dBm, 27.0 dB worse than its usual -70.0") || v.Scope != (diagnose.Scope{Of: diagnose.OfSite, Name: "north"}) {
			t.Errorf("hour %d: %+v %s", hours, v.Scope, text)
		}
		if text := strings.Join(v.Missing, ";"); strings.Contains(text, "signal") {
			t.Errorf("hour %d: %s", hours, text)
		}
	}
	if d, _ := p.watch.Detail("a", p.now); len(d.Signals) != 1 || d.Signals[0].Value != -97 || p.now.Sub(d.Signals[0].Time) < 50*time.Minute {
		t.Errorf("%+v", d.Signals)
	}
	level = -70
	p.run(10, tell, names...)
	p.want("a", diagnose.Healthy, "")
}

// A network that loses reports here and there is told from what has several, of which
// each alone would say little; unless signals are weak there, or they are on a line.
func TestALossThatSomeShareIsTheNetwork(t *testing.T) {
	names := strings.Split("abcdefghij", "")
	for name, c := range map[string]struct {
		change func(p *plant)
		want   diagnose.Cause
	}{
		"network": {func(*plant) {}, diagnose.Network},
		"radio": {func(p *plant) {
			for _, n := range names[:5] {
				p.book.Controller(n).Signal(evidence.RSSI, -99)
			}
		}, diagnose.Physical},
		"line": {func(p *plant) {
			for i := range p.known {
				p.known[i].Line = fmt.Sprint("line-", i)
			}
		}, diagnose.Unclear},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlant(t, names...)
			p.run(20, func() {
				for _, n := range names {
					p.book.Controller(n).Signal(evidence.RSSI, -70)
				}
			}, names...)
			turn := 0
			p.run(10, func() {
				turn++
				for _, n := range names[:5] {
					p.seq[n]++ // is lost
				}
				if turn%8 == 0 {
					p.seq["f"]++
				}
				c.change(p)
			}, names...)
			p.want("a", c.want, "")
			if c.want == diagnose.Network {
				p.want("f", diagnose.Network, "site-shares-some")
			}
			p.want("g", diagnose.Healthy, "")
		})
	}
}

func TestDamagedFramesOnALine(t *testing.T) {
	p := newPlant(t, "a", "b")
	for i := range p.known {
		p.known[i].Line, p.known[i].Port = "line-3", "line-3"
	}
	page := p.book.Port("line-3")
	p.run(12, func() { page.Add(evidence.Received, 20) }, "a", "b")
	p.want("a", diagnose.Healthy, "")
	p.run(4, func() { page.Add(evidence.Received, 18); page.Add(evidence.Checksum, 2) }, "a", "b")
	v := p.want("a", diagnose.Physical, "damaged")
	if v.Scope != (diagnose.Scope{Of: diagnose.OfLine, Name: "line-3"}) || !strings.Contains(v.For[0], "%") {
		t.Errorf("%+v", v)
	}
	p.run(12, func() { page.Add(evidence.Received, 20) }, "a", "b")
	p.run(4, func() { page.Add(evidence.Overrun, 2) }, "a", "b")
	p.want("b", diagnose.Gateway, "read-too-late")
}

func TestSignalAgainstItsBaselineAndItsMargin(t *testing.T) {
	p := settled(t)
	signal := -70.0
	tell := func() { p.book.Controller("a").Signal(evidence.RSSI, signal) }
	all := []string{"a", "b", "c", "d"}
	p.run(12, tell, all...)
	signal = -79
	p.run(4, tell, all...)
	p.want("a", diagnose.Healthy, "") // 9 dB less, and everything comes
	signal = -83
	p.run(4, tell, all...)
	p.want("a", diagnose.Physical, "far-too-weak")
	signal = -79
	p.run(12, tell, all...)
	p.want("a", diagnose.Healthy, "")
	p.run(6, nil, "b", "c", "d")
	if v := p.want("a", diagnose.Physical, ""); !strings.Contains(strings.Join(v.For, "; "), "worse than its usual -70") {
		t.Errorf("%q", v.For)
	}
}

func TestClocks(t *testing.T) {
	all := []string{"a", "b", "c", "d"}
	for _, by := range []time.Duration{90 * time.Second, -90 * time.Second, time.Hour, -7 * time.Second} {
		p := settled(t)
		p.skew["c"] = by
		p.run(8, nil, all...)
		v := p.want("c", diagnose.Controller, "clock")
		if by == time.Hour && !strings.Contains(v.For[0], "summer time") {
			t.Errorf("%q", v.For)
		}
		p.want("a", diagnose.Healthy, "")
		p.skew["c"] = 0
		p.run(16, nil, all...)
		p.want("c", diagnose.Healthy, "")
	}
	// One that was ahead from the start did not step, and is ahead all the same.
	p := newPlant(t, all...)
	p.skew["b"] = 5 * time.Second
	p.run(6, nil, all...)
	p.want("b", diagnose.Controller, "clock")
}

// What stands before the gateway cannot be blamed for the gateway and its store.
func TestGatewayAndStore(t *testing.T) {
	all := []string{"a", "b", "c", "d"}
	p := settled(t)
	slow := func() { // what was on its way to the record took as long
		for _, n := range all {
			p.watch.Settled(n, diagnose.Hops{Accepted: p.now.Add(-4 * time.Second).UnixNano(), Stored: p.now.UnixNano()})
		}
	}
	p.facts.Stood = 4 * time.Second
	p.run(3, slow, all...)
	v := p.want("a", diagnose.Gateway, "gateway-stood-still")
	if v.Scope.Of != diagnose.OfNode {
		t.Errorf("%+v", v.Scope)
	}
	p.facts.Stood = 0
	p.run(12, nil, all...)
	p.want("a", diagnose.Healthy, "")

	p.run(6, slow, all...)
	p.want("a", diagnose.Store, "store-stands")
	p.run(12, nil, all...)
	p.want("a", diagnose.Healthy, "")

	p.facts.Node = diagnose.Node{Durable: 500, Settled: 100}
	p.run(4, nil, "a", "b", "c")
	p.want("a", diagnose.Store, "store-stands")
	p.run(5, nil, "a", "b", "c")
	p.want("d", diagnose.Unclear, "silent-alone") // silence is not of the store
	p = settled(t)
	p.facts.Node.Spool = "no space left"
	p.run(3, nil, all...)
	p.want("a", diagnose.Gateway, "spool-refuses")
}

func TestRefusals(t *testing.T) {
	for reason, cause := range map[penstock.Reason]diagnose.Cause{
		penstock.ReasonUnit: diagnose.Configuration, penstock.ReasonTime: diagnose.Controller,
	} {
		p := settled(t)
		p.run(6, func() {
			p.watch.Arrived(diagnose.Arrival{Controller: "d", Received: p.now.UnixNano(), Admitted: p.now.UnixNano(), Reason: reason})
		}, "a", "b", "c")
		p.want("d", cause, "")
	}
	p := settled(t)
	p.watch.Arrived(diagnose.Arrival{Controller: "stranger", Received: 1, Reason: penstock.ReasonForbidden})
	p.known = append(p.known, diagnose.Known{Name: "stranger"})
	p.run(1, nil)
	if d, _ := p.watch.Detail("stranger", p.now); d.Now.Reports > 0 {
		t.Error("a refused report made a controller known")
	}
}

// A verdict does not flap with what comes and goes.
func TestVerdictsDoNotFlap(t *testing.T) {
	p := settled(t)
	page := p.book.Controller("a")
	all := []string{"a", "b", "c", "d"}
	was, changes := diagnose.Healthy, 0
	for i := range 60 {
		p.run(1, func() {
			page.Add(evidence.Received, 10)
			if i%3 == 0 {
				page.Add(evidence.Checksum, 4)
			}
		}, all...)
		if c := p.verdict("a").Cause; c != was {
			was = c
			changes++
		}
	}
	if changes != 1 || was != diagnose.Physical {
		t.Errorf("%d changes, at last %s", changes, was)
	}
}

// A verdict begins when it was found twice in a row, and ends after three times.
func TestVerdictsAreConfirmed(t *testing.T) {
	all := []string{"a", "b", "c", "d"}
	p := settled(t)
	trouble := func(text string, steps int, want diagnose.Cause) {
		t.Helper()
		p.facts.Node.Spool = text
		p.run(steps, nil, all...)
		p.want("a", want, "")
	}
	trouble("full", 1, diagnose.Healthy)
	trouble("", 1, diagnose.Healthy)
	trouble("full", 1, diagnose.Healthy)
	trouble("full", 1, diagnose.Gateway)
	trouble("", 2, diagnose.Gateway)
	trouble("full", 1, diagnose.Gateway)
	trouble("", 2, diagnose.Gateway)
	trouble("", 1, diagnose.Healthy)
}

// While the gateway stood still nobody could be heard.
func TestAStallMakesNobodySilent(t *testing.T) {
	p := settled(t)
	p.facts.Stood = 2 * time.Minute
	p.now = p.now.Add(p.facts.Stood)
	p.run(1, nil)
	if n := p.watch.Overview(p.now, diagnose.Filter{}).Pulses[diagnose.Reporting]; n != 4 {
		t.Errorf("%d report", n)
	}
	p.facts.Stood = 0
	p.run(1, nil)
	if v := p.want("d", diagnose.Gateway, "gateway-stood-still"); v.Scope.Of != diagnose.OfNode {
		t.Errorf("%+v", v)
	}
}

// Frames that came with the reports do not say that the link answers now.
func TestALinkThatFellSilentTooIsNotAlive(t *testing.T) {
	p := newPlant(t, "a", "b", "c", "d")
	p.run(12, func() { p.book.Controller("d").Count(evidence.Received) }, "a", "b", "c", "d")
	p.run(8, nil, "a", "b", "c")
	p.want("d", diagnose.Unclear, "silent-alone")
}

// A fade does not become the usual, and what a page had before is not news.
func TestBaselinesAndCountsOfBefore(t *testing.T) {
	p := newPlant(t, "a", "b", "c", "d")
	page, signal := p.book.Controller("a"), -70.0
	page.Add(evidence.Checksum, 5000)
	all := []string{"a", "b", "c", "d"}
	p.run(3, nil, all...)
	p.want("a", diagnose.Healthy, "")
	p.run(12, func() { page.Signal(evidence.RSSI, signal) }, all...)
	signal = -85
	p.run(1200, func() { page.Signal(evidence.RSSI, signal) }, all...)
	p.want("a", diagnose.Physical, "far-too-weak")
}

// What was kept back and comes at once is no rhythm.
func TestABurstIsNoRhythm(t *testing.T) {
	p := newPlant(t, "a", "b")
	keyed := func(name string) {
		p.watch.Arrived(diagnose.Arrival{Controller: name, Identity: penstock.KeyIdentity("k"), Received: p.now.UnixNano(), Admitted: p.now.UnixNano()})
	}
	p.run(20, func() { keyed("a"); keyed("b") })
	for range 500 {
		p.now = p.now.Add(time.Millisecond)
		keyed("a")
	}
	p.now = p.now.Add(12 * time.Second)
	if n := p.watch.Overview(p.now, diagnose.Filter{}).Pulses[diagnose.Reporting]; n != 2 {
		t.Errorf("%d report", n)
	}
	p.now = p.now.Add(time.Minute)
	if n := p.watch.Overview(p.now, diagnose.Filter{}).Pulses[diagnose.Silent]; n != 2 {
		t.Errorf("%d are silent", n)
	}
}

func TestConfig(t *testing.T) {
	number := func(v float64) *float64 { return &v }
	c := diagnose.Default()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c.Links = []signal.LinkType{{Type: "radio", Controllers: []string{"pump-*"}, RSSI: number(-90), Attenuation: number(20)}}
	margins, kind := c.Margins("pump-1")
	if kind != "radio" || margins[0].Limit != -90 || margins[0].Most || margins[3].Limit != 20 || !margins[3].Most || margins[1].Limit != 9 {
		t.Errorf("%s %+v", kind, margins)
	}
	if m, kind := c.Margins("tank-1"); kind != "" || m[0].Limit != -100 {
		t.Errorf("%s %+v", kind, m)
	}
	bad := diagnose.Config{Window: config.Duration(time.Second), Links: []signal.LinkType{{Drop: number(0), SNR: number(99)}}}
	err := bad.Validate()
	for _, want := range []string{"window: 1s", "unheard: 0s", "links[0].type", "links[0].controllers", "links[0].drop", "links[0].snr"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %q in %v", want, err)
		}
	}
}

// 5,000 controllers take about ten megabytes, and are judged quickly.
func TestMemoryOfALargeFleet(t *testing.T) {
	const fleet = 5000
	names := make([]string, fleet)
	for i := range names {
		names[i] = fmt.Sprintf("controller-%05d", i)
	}
	var before, after runtime.MemStats
	p := newPlant(t, names...)
	runtime.GC()
	runtime.ReadMemStats(&before)
	p.run(3, nil, names...)
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := int(after.HeapAlloc-before.HeapAlloc) / fleet
	t.Logf("%d bytes a controller", each)
	if each > 2400 {
		t.Errorf("%d bytes a controller", each)
	}
	runtime.KeepAlive(p)
}
