package pipeline_test

import (
	"fmt"
	"hash/crc32"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/pipeline"
	"github.com/penstock/penstock/link"
)

func fleetOptions() fleet.Options { return fleet.Options{} }

// with returns the default list with some settings changed.
func with(change func(s *pipeline.Step)) pipeline.Config {
	cfg := pipeline.Default()
	for i := range cfg {
		change(&cfg[i])
	}
	return cfg
}

func TestChecksum(t *testing.T) {
	cfg := with(func(s *pipeline.Step) {
		if s.Checksum != nil {
			s.Checksum.RequireFrom = []string{"strict"}
		}
	})
	b := newBench(t, cfg, fleetOptions())
	check := func(body string, sum uint32) error {
		e := b.envelope()
		e.Body, e.Checksum, e.HasChecksum = []byte(body), sum, true
		j := b.submit(t, e)
		if j.Reason != penstock.ReasonChecksum {
			return nil
		}
		wantRefused(t, j, penstock.ReasonChecksum, penstock.Corrupt, "checksum")
		return j.Err
	}
	for sum, want := range map[uint32]string{
		0xCBF43926: "",
		0xE3069283: "is the CRC-32C of",
		0x0376E6E7: "is the CRC-32/MPEG-2 of",
		0xFC891918: "is the CRC-32/BZIP2 of",
		0x340BC6D9: "is the CRC-32/JAMCRC of",
		0x2639F4CB: "bytes in reverse order",
		0xCBF43927: "damaged on the way",
		0:          "damaged on the way",
	} {
		err := check("123456789", sum)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%08x: %v, want %q", sum, err, want)
		}
	}
	large := strings.Repeat("x", 64<<10+1)
	if err := check(large, crc32.Checksum([]byte(large), crc32.MakeTable(crc32.Castagnoli))); err == nil || strings.Contains(err.Error(), "CRC-32C") {
		t.Errorf("a large body was read again: %v", err)
	}
	long := strings.Repeat("123456789", 100) // more than one part
	if err := check(long, 0x1DBA0F22); err == nil {
		t.Error("damage passed")
	}

	e := b.envelope(report("pump-1", 1))
	if j := b.submit(t, e); j.Err != nil {
		t.Errorf("no checksum is needed here: %v", j.Err)
	}
	e.Source = "strict"
	wantRefused(t, b.submit(t, e), penstock.ReasonChecksum, penstock.Invalid, "checksum")
	e.HasChecksum, e.Checksum = true, crc32.ChecksumIEEE(e.Body)
	if j := b.submit(t, e); j.Err != nil {
		t.Error(j.Err)
	}
}

// A flipped bit is always found.
func TestChecksumFindsEveryBit(t *testing.T) {
	b := newBench(t, nil, fleetOptions())
	e := b.envelope(report("pump-1", 1, sample("a", penstock.FloatValue(1))))
	e.HasChecksum, e.Checksum = true, crc32.ChecksumIEEE(e.Body)
	for bit := range len(e.Body) * 8 {
		e.Body[bit/8] ^= 1 << (bit % 8)
		wantRefused(t, b.submit(t, e), penstock.ReasonChecksum, penstock.Corrupt, "checksum")
		e.Body[bit/8] ^= 1 << (bit % 8)
	}
}

func TestAuthenticationFailuresOfAnAddress(t *testing.T) {
	b := newBench(t, nil, fleetOptions())
	good := b.envelope(report("pump-1", 1))
	stranger := good
	stranger.Credential.Token = "wrong"
	tries := 0
	for ; tries < 1000; tries++ {
		j := b.submit(t, stranger)
		if j.Reason == penstock.ReasonLimited {
			wantRefused(t, j, penstock.ReasonLimited, penstock.Limited, "authenticate")
			if wait := penstock.RetryAfterOf(j.Err); wait <= 0 || wait > time.Second {
				t.Errorf("try again after %v", wait)
			}
			break
		}
		wantRefused(t, j, penstock.ReasonUnauthenticated, penstock.Unauthenticated, "authenticate")
	}
	if tries != 100 {
		t.Errorf("%d failures were let in, want ten seconds of ten", tries)
	}
	if j := b.submit(t, good); j.Err != nil {
		t.Errorf("a neighbour behind the same address was locked out: %v", j.Err)
	}
	stranger.Peer = "192.0.2.7:9" // another port of the same host
	wantRefused(t, b.submit(t, stranger), penstock.ReasonLimited, penstock.Limited, "authenticate")
	stranger.Peer = "192.0.2.8:9"
	wantRefused(t, b.submit(t, stranger), penstock.ReasonUnauthenticated, penstock.Unauthenticated, "authenticate")
	stranger.Peer = "192.0.2.7:9"
	b.now = b.now.Add(time.Second)
	wantRefused(t, b.submit(t, stranger), penstock.ReasonUnauthenticated, penstock.Unauthenticated, "authenticate")
}

// What a source puts into the principal is not believed.
func TestPrincipalOfTheSourceIsNotBelieved(t *testing.T) {
	b := newBench(t, nil, fleetOptions())
	e := b.envelope(report("pump-1", 1))
	e.Credential.Token, e.Principal = "", &penstock.Principal{Role: penstock.RoleAdmin, Scope: penstock.Scope{"*"}}
	es := []penstock.Envelope{e}
	b.pipeline.Submit(t.Context(), es)
	wantRefused(t, b.judged[0], penstock.ReasonUnauthenticated, penstock.Unauthenticated, "authenticate")
	if es[0].Principal != nil {
		t.Error("who was refused still has a principal")
	}
}

func TestASourceSpeaksForItsOwnControllers(t *testing.T) {
	b := newBench(t, nil, fleetOptions())
	e := b.envelope(report("pump-1", 1))
	own := &penstock.Principal{Credential: "source:line-3", Role: penstock.RoleController, Scope: penstock.Scope{"pump-1"}}
	e.Credential.Token, e.Principal = "", own
	b.pipeline.Submit(t.Context(), []penstock.Envelope{e})
	if err := b.judged[0].Err; err != nil {
		t.Errorf("refused: %v", err)
	}
	e = b.envelope(report("pump-2", 1))
	e.Credential.Token, e.Principal = "", own
	b.pipeline.Submit(t.Context(), []penstock.Envelope{e})
	if got := b.judged[1].Reports[0].Reason; got != penstock.ReasonForbidden {
		t.Errorf("a controller that is not the source's: reason %q", got)
	}
}

func TestLimitOfACredential(t *testing.T) {
	cfg := with(func(s *pipeline.Step) {
		if s.Limit != nil {
			s.Limit.Single = pipeline.Rates{Reports: 10, Bytes: 2000, Burst: pipeline.Span(time.Second)}
			s.Limit.Shared = pipeline.Rates{Reports: 100, Bytes: 1 << 20, Burst: pipeline.Span(time.Second)}
		}
	})
	b := newBench(t, cfg, fleetOptions())
	shared, single := b.token, b.grant(t, "pump-1")
	count := func(token string, reports int) int {
		var rs []*penstock.Report
		for i := range reports {
			rs = append(rs, report("pump-1", uint64(i+1)))
		}
		b.token = token
		for n := range 1000 {
			j := b.submit(t, b.envelope(rs...))
			if j.Err != nil {
				wantRefused(t, j, penstock.ReasonLimited, penstock.Limited, "limit")
				b.now = b.now.Add(penstock.RetryAfterOf(j.Err))
				if j := b.submit(t, b.envelope(rs...)); j.Err != nil {
					t.Errorf("the wait that was told is too short: %v", j.Err)
				}
				return n
			}
		}
		return -1
	}
	if got := count(single, 1); got != 10 {
		t.Errorf("%d reports of one controller at once, want 10", got)
	}
	if got := count(shared, 1); got != 100 {
		t.Errorf("%d reports of many at once, want 100: one credential's use is another's", got)
	}
	b.now = b.now.Add(time.Hour)
	if got := count(shared, 30); got != 4 { // the fourth leaves a debt
		t.Errorf("%d envelopes of 30 reports, want 4", got)
	}
	b.now = b.now.Add(time.Hour)
	b.token = single
	e := b.envelope(report("pump-1", 1, sample("a", penstock.TextValue(strings.Repeat("x", 3000)))))
	if j := b.submit(t, e); j.Err != nil {
		t.Errorf("a body larger than the budget can never pass: %v", j.Err)
	}
	wantRefused(t, b.submit(t, e), penstock.ReasonLimited, penstock.Limited, "limit")
}

// Refused reports cost as much as good ones.
func TestLimitCountsWhatIsRefused(t *testing.T) {
	cfg := with(func(s *pipeline.Step) {
		if s.Limit != nil {
			s.Limit.Shared = pipeline.Rates{Reports: 5, Bytes: 1 << 20, Burst: pipeline.Span(time.Second)}
		}
	})
	b := newBench(t, cfg, fleetOptions())
	bad := b.envelope()
	bad.Body = []byte("nonsense")
	for range 5 {
		wantRefused(t, b.submit(t, bad), penstock.ReasonMalformed, penstock.CodeOf(b.judged[0].Err), "decode")
	}
	wantRefused(t, b.submit(t, bad), penstock.ReasonLimited, penstock.Limited, "limit")
}

func TestLimitOfAnAddress(t *testing.T) {
	cfg := append(pipeline.Config{{LimitPeer: &pipeline.LimitPeerConfig{Envelopes: 10, Bytes: 1 << 20, Burst: pipeline.Span(time.Second)}}}, pipeline.Default()...)
	for name, peers := range map[string][2]string{ // the second has its own budget
		"IPv4":   {"192.0.2.7:%d", "192.0.2.8:1"},
		"IPv6":   {"[2001:db8:1:2::%d]:443", "[2001:db8:1:3::1]:443"},
		"mapped": {"[::ffff:192.0.2.7]:%d", "192.0.2.8:1"},
		"line":   {"/dev/ttyUSB0", "/dev/ttyUSB1"},
		"plain":  {"2001:db8:1:2::%d", "2001:db8:1:3::1"},
		"absent": {"", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, cfg, fleetOptions())
			e := b.envelope(report("pump-1", 1))
			e.Credential.Token = "wrong" // strangers count too
			for i := range 11 {
				e.Peer = peers[0]
				if strings.Contains(e.Peer, "%d") {
					e.Peer = fmt.Sprintf(peers[0], i+1)
				}
				j := b.submit(t, e)
				if limited := j.Reason == penstock.ReasonLimited; limited != (i == 10) {
					t.Fatalf("envelope %d: %v", i, j.Err)
				}
			}
			wantRefused(t, b.submit(t, e), penstock.ReasonLimited, penstock.Limited, "limit_peer")
			if name == "mapped" {
				e.Peer = "192.0.2.7:5"
				wantRefused(t, b.submit(t, e), penstock.ReasonLimited, penstock.Limited, "limit_peer")
			}
			e.Peer = peers[1]
			wantRefused(t, b.submit(t, e), penstock.ReasonUnauthenticated, penstock.Unauthenticated, "authenticate")
		})
	}
}

func TestIdentityBesideTheBody(t *testing.T) {
	b := newBench(t, nil, fleetOptions())
	natural := func(point string) *penstock.Report {
		return &penstock.Report{Controller: "pump-1", Samples: []penstock.Sample{sample(point, penstock.FloatValue(1))}}
	}
	e := b.envelope(natural("a"))
	e.Key = "k-1"
	one := b.submit(t, e).Reports[0].Report
	if one.Identity != penstock.KeyIdentity("k-1") {
		t.Errorf("identity %v", one.Identity)
	}
	keyed := natural("a")
	keyed.Identity = penstock.KeyIdentity("k-1")
	if got := b.send(t, keyed).Report; got.Fingerprint != one.Fingerprint {
		t.Error("the same report with the same key has another fingerprint")
	}
	e = b.envelope(natural("a"), report("pump-1", 9), natural("b"))
	e.Key = "k-2"
	items := b.submit(t, e).Reports
	for i, want := range []penstock.Identity{penstock.KeyIdentity("k-2"), penstock.SequenceIdentity(1, 9), penstock.KeyIdentity("k-2/2")} {
		if got := items[i].Report.Identity; got != want {
			t.Errorf("report %d: identity %v, want %v", i, got, want)
		}
	}
	for _, key := range []string{strings.Repeat("k", 256), "\xff"} {
		e = b.envelope(natural("a"))
		e.Key = key
		wantItem(t, b.submit(t, e).Reports[0], penstock.ReasonIdentity, false, "decode")
	}
}

func TestDecode(t *testing.T) {
	cfg := with(func(s *pipeline.Step) {
		if s.Decode != nil {
			s.Decode.MaxReports, s.Decode.MaxSamples = 3, 10
		}
	})
	b := newBench(t, cfg, fleetOptions())
	many := make([]penstock.Sample, 11)
	for i := range many {
		many[i] = sample(fmt.Sprint("p", i), penstock.FloatValue(1))
	}
	two := b.envelope(report("pump-1", 1), report("pump-1", 2))
	change := func(do func(e *penstock.Envelope)) penstock.Envelope {
		e := two
		e.Body = append([]byte(nil), two.Body...)
		do(&e)
		return e
	}
	for name, c := range map[string]struct {
		envelope penstock.Envelope
		reason   penstock.Reason
		code     penstock.Code
	}{
		"no media type":      {change(func(e *penstock.Envelope) { e.ContentType = "" }), penstock.ReasonMalformed, penstock.Unsupported},
		"another media type": {change(func(e *penstock.Envelope) { e.ContentType = "text/html" }), penstock.ReasonMalformed, penstock.Unsupported},
		"no report":          {change(func(e *penstock.Envelope) { e.ContentType = "empty" }), penstock.ReasonMalformed, penstock.Invalid},
		"no body":            {change(func(e *penstock.Envelope) { e.Body = nil }), penstock.ReasonMalformed, penstock.Invalid},
		"cut":                {change(func(e *penstock.Envelope) { e.Body = e.Body[:len(e.Body)-1] }), penstock.ReasonMalformed, penstock.Invalid},
		"newer version":      {change(func(e *penstock.Envelope) { e.Body[0] = 99 }), penstock.ReasonMalformed, penstock.Unsupported},
		"too many reports":   {b.envelope(report("a", 1), report("a", 2), report("a", 3), report("a", 4)), penstock.ReasonTooLarge, penstock.TooLarge},
		"too many samples":   {b.envelope(report("a", 1, many...)), penstock.ReasonTooLarge, penstock.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			wantRefused(t, b.submit(t, c.envelope), c.reason, c.code, "decode")
		})
	}
	params := change(func(e *penstock.Envelope) { e.ContentType = " Application/VND.penstock.reports ; v=1" })
	if j := b.submit(t, params); j.Err != nil || len(j.Reports) != 2 {
		t.Errorf("%+v", j)
	}
	poison := b.envelope(report("pump-1", 1), &penstock.Report{Controller: "a/b", Identity: penstock.SequenceIdentity(1, 2)}, report("pump-1", 3))
	items := b.submit(t, poison).Reports
	if len(items) != 3 {
		t.Fatalf("%d reports", len(items))
	}
	wantItem(t, items[0], "", false, "")
	wantItem(t, items[1], penstock.ReasonMalformed, false, "decode")
	wantItem(t, items[2], "", false, "")
	if r := items[1].Report; r == nil || r.Source != "https" || r.ReceivedTime != noon {
		t.Errorf("%+v", r)
	}
}

func TestRegistrationDecidesWhoseBooks(t *testing.T) {
	for policy, reason := range map[fleet.Policy]penstock.Reason{
		fleet.HoldUnknown: penstock.ReasonUnknown, fleet.RejectUnknown: penstock.ReasonUnknown,
	} {
		b := newBench(t, nil, fleet.Options{Unknown: policy})
		wantItem(t, b.send(t, report("pump-1", 1)), reason, false, "register")
		if err := b.fleet.Admit("pump-1"); err != nil {
			t.Fatal(err)
		}
		wantItem(t, b.send(t, report("pump-1", 1)), "", false, "")
	}
	b := newBench(t, nil, fleetOptions())
	wantItem(t, b.send(t, report("pump-#", 1)), penstock.ReasonName, false, "register")
}

func TestValidate(t *testing.T) {
	const day = int64(24 * time.Hour)
	value := penstock.FloatValue(1)
	for name, c := range map[string]struct {
		sample penstock.Sample
		want   penstock.Reason
		flags  penstock.SampleFlags
	}{
		"now":                        {penstock.Sample{Value: value, SourceTime: noon}, "", 0},
		"a minute ahead":             {penstock.Sample{Value: value, SourceTime: noon + int64(time.Minute)}, "", 0},
		"more than a minute ahead":   {penstock.Sample{Value: value, SourceTime: noon + int64(time.Minute) + 1}, "", penstock.SkewedClock},
		"a day ahead":                {penstock.Sample{Value: value, SourceTime: noon + day}, "", penstock.SkewedClock},
		"more than a day ahead":      {penstock.Sample{Value: value, SourceTime: noon + day + 1}, penstock.ReasonTime, 0},
		"historical ahead":           {penstock.Sample{Value: value, SourceTime: noon + day, Flags: penstock.Historical}, "", penstock.SkewedClock | penstock.Historical},
		"a week behind":              {penstock.Sample{Value: value, SourceTime: noon - 7*day}, "", 0},
		"more than a week behind":    {penstock.Sample{Value: value, SourceTime: noon - 7*day - 1}, "", penstock.SkewedClock},
		"historical":                 {penstock.Sample{Value: value, SourceTime: noon - 30*day, Flags: penstock.Historical}, "", penstock.Historical},
		"ten years behind":           {penstock.Sample{Value: value, SourceTime: noon - 3650*day}, "", penstock.SkewedClock},
		"more than ten years behind": {penstock.Sample{Value: value, SourceTime: noon - 3650*day - 1}, penstock.ReasonTime, 0},
		"1970":                       {penstock.Sample{Value: value}, penstock.ReasonTime, 0},
		"first of all times":         {penstock.Sample{Value: value, SourceTime: math.MinInt64}, penstock.ReasonTime, 0},
		"last of all times":          {penstock.Sample{Value: value, SourceTime: math.MaxInt64}, penstock.ReasonTime, 0},
		"no time":                    {penstock.Sample{Value: value, Flags: penstock.GatewayClock}, "", penstock.GatewayClock},
		"time of another gateway":    {penstock.Sample{Value: value, SourceTime: 1, Flags: penstock.GatewayClock}, penstock.ReasonTime, 0},
		"none and bad":               {penstock.Sample{SourceTime: noon, Status: penstock.BadTimeout}, "", 0},
		"a value though bad":         {penstock.Sample{Value: value, SourceTime: noon, Status: penstock.BadTimeout}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil, fleetOptions())
			c.sample.Point = "a"
			item := b.send(t, report("pump-1", 1, c.sample))
			wantItem(t, item, c.want, true, "validate")
			got := item.Report.Samples[0]
			if c.want == "" && got.Flags != c.flags {
				t.Errorf("flags %b, want %b", got.Flags, c.flags)
			}
			if got.SourceTime != c.sample.SourceTime && c.sample.Flags != penstock.GatewayClock {
				t.Errorf("the time was rewritten: %d", got.SourceTime)
			}
			if c.want != "" && (!strings.Contains(item.Detail, `"a"`) || !strings.Contains(item.Detail, `"pump-1"`)) {
				t.Errorf("%q names neither point nor controller", item.Detail)
			}
		})
	}
}

// A codec refuses no value with a good status itself; the step does not rely on it.
func TestNoValueNeedsABadStatus(t *testing.T) {
	formats := formats()
	formats["none"] = pipeline.Format{Decode: func(_ []byte, b *pipeline.Batch) error {
		return b.Add(report("pump-1", 1, penstock.Sample{Point: "a", SourceTime: noon}), nil)
	}}
	b := newBench(t, nil, fleetOptions())
	p, err := pipeline.New(nil, pipeline.Deps{Fleet: b.fleet, Intake: b, Formats: formats, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	b.pipeline = p
	e := b.envelope()
	e.ContentType = "none"
	wantItem(t, b.submit(t, e).Reports[0], penstock.ReasonStatus, true, "validate")
}

func TestLog(t *testing.T) {
	cfg := with(func(s *pipeline.Step) {
		if s.Log != nil {
			s.Log.Every, s.Log.Refusals = 10, 2
		}
	})
	b := newBench(t, cfg, fleetOptions())
	lines := func() int { return strings.Count(b.log.String(), "\n") }
	for range 25 {
		b.send(t, report("pump-1", 1))
	}
	if lines() != 3 || !strings.Contains(b.log.String(), `"source":"https"`) {
		t.Errorf("%d lines for 25 envelopes, want one in ten: %s", lines(), &b.log)
	}
	b.log.Reset()
	for range 7 {
		b.send(t, report("evil\"\n", 1))
	}
	b.now = b.now.Add(time.Second)
	b.send(t, report("valve-1", 3))
	log := b.log.String()
	if lines() != 3 || !strings.Contains(log, `"suppressed":5`) {
		t.Errorf("%d lines for 8 refusals, want 2 and one that counts the others: %s", lines(), log)
	}
	for _, want := range []string{`"reason":"forbidden"`, `"controller":"valve-1"`, `"identity":"1/3"`, `"refused":1`, `"peer":"192.0.2.7:4711"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s: %s", want, log)
		}
	}
	if strings.Contains(log, b.token) {
		t.Error("the log has a token in it")
	}
	b.log.Reset()
	e := b.envelope()
	e.Body = []byte{1}
	b.now = b.now.Add(time.Second)
	b.submit(t, e)
	if log := b.log.String(); !strings.Contains(log, `"reason":"malformed"`) || !strings.Contains(log, `"suppressed":0`) {
		t.Error(log)
	}
}

// Whatever the bytes are, the pipeline judges them without a panic, and what it
// admits can be encoded and decoded again.
func FuzzSubmit(f *testing.F) {
	b := newBench(f, nil, fleet.Options{Limits: fleet.Limits{Controllers: 100, Points: 1000}})
	b.token = b.grant(f, "*")
	f.Add(link.AppendReport(nil, report("pump-1", 1, sample("a", penstock.FloatValue(1)))), link.MediaType, "", false)
	f.Add(link.AppendReport(nil, &penstock.Report{Controller: "x"}), link.MediaType, "key", true)
	f.Add([]byte(line("pump-1", 1, `{"point":"a","value":1,"time":"2026-11-22T12:00:00Z"}`)), pipeline.JSONType, "", false)
	f.Add([]byte("{}\n[]"), pipeline.NDJSONType, "key", false)
	f.Fuzz(func(t *testing.T, body []byte, contentType, key string, declared bool) {
		if contentType == "panic" {
			return
		}
		b.now = b.now.Add(time.Hour) // no limits here
		e := b.envelope()
		e.Body, e.ContentType, e.Key, e.HasChecksum = body, contentType, key, declared
		j := b.submit(t, e)
		if (j.Err == nil) == (j.Reason != "") || penstock.CodeOf(j.Err) == penstock.Internal && j.Err != nil {
			t.Fatalf("%q %v", j.Reason, j.Err)
		}
		for _, item := range j.Reports {
			if item.Reason != "" {
				continue
			}
			var again penstock.Report
			rest, err := new(link.Decoder).Decode(link.AppendReport(nil, item.Report), &again)
			if err != nil || len(rest) != 0 {
				t.Fatalf("admitted %+v, which cannot be kept: %v", item.Report, err)
			}
		}
	})
}

// What the source has refused goes no further, and is booked with its reason.
func TestWhatTheSourceRefused(t *testing.T) {
	b := newBench(t, nil, fleetOptions())
	e := b.envelope(report("pump-1", 1))
	e.Refusal = penstock.Errorf(penstock.TooLarge, "a message of 7 bytes, above max_message (6)")
	wantRefused(t, b.submit(t, e), penstock.ReasonTooLarge, penstock.TooLarge, "decode")
	if e.Refusal = nil; b.submit(t, e).Err != nil {
		t.Error("the same without a refusal is refused")
	}
}
