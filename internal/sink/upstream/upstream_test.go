package upstream_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/sink/sinktest"
	"github.com/penstock/penstock/internal/sink/upstream"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/gate"
)

func TestConformance(t *testing.T) {
	sinktest.RunSink(t, func(t testing.TB) sinktest.SinkBench {
		c := newCentre(t)
		g := gate.New(t, c.address)
		u := c.config()
		u.Server = "https://" + g.Address()
		refuse := func(controller string, why penstock.Reason) { c.change(func() { c.refuse[controller] = why }) }
		return sinktest.SinkBench{
			Open:             func(t testing.TB) penstock.Sink { return open(t, u) },
			Received:         func(testing.TB) []*penstock.Report { return c.Received() },
			Once:             true,
			Break:            func(testing.TB) func() { return g.Break() },
			LoseConfirmation: func(testing.TB) { c.change(func() { c.lose = true }) },
			Refuse:           func(testing.TB) { refuse("refused", penstock.ReasonRange) },
			Nack: func(testing.TB) func() {
				refuse("nacked", penstock.ReasonLimited)
				return func() { refuse("nacked", "") }
			},
			Stall: func(testing.TB) func() { return g.Stall() },
		}
	})
}

// Everything of a report arrives bit for bit but what the centre gives it anew.
func TestBitForBit(t *testing.T) {
	c := newCentre(t)
	odd := report("pump-1", 7)
	odd.Samples = []penstock.Sample{
		{Point: "a/b", SourceTime: 1, Value: penstock.FloatValue(math.Float64frombits(0x7ff8000000000123)), Unit: "m3/h", Status: 0x40900000, Native: 192, Flags: penstock.Historical | penstock.SkewedClock},
		{Point: "a/b", SourceTime: math.MaxInt64, Value: penstock.FloatValue(math.Copysign(0, -1)), Flags: penstock.GatewayClock},
		{Point: "n", Value: penstock.UintValue(math.MaxUint64)}, {Point: "i", Value: penstock.IntValue(math.MinInt64)},
		{Point: "t", Value: penstock.TextValue("grün\n")}, {Point: "z", Status: penstock.BadTimeout},
	}
	keyed, natural := report("pump-2", 1), report("pump-3", 1)
	keyed.Identity, natural.Identity = penstock.KeyIdentity("ключ \"1\""), penstock.Identity{}
	all := []*penstock.Report{odd, keyed, natural}
	if err := open(t, c.config()).Write(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	for i, want := range all {
		got := c.raw[i]
		if got.Controller != want.Controller || got.Identity != want.Identity || got.ReceivedTime != want.ReceivedTime || !slices.Equal(got.Samples, want.Samples) {
			t.Errorf("%+v came as %+v", want, got)
		}
	}
}

// A report that only fills its place in a sequence has a received time, too.
func TestEmptyReports(t *testing.T) {
	c := newCentre(t)
	r := &penstock.Report{Controller: "pump-1", Identity: penstock.SequenceIdentity(1, 1)}
	if err := open(t, c.config()).Write(t.Context(), []*penstock.Report{r}); err != nil || len(c.raw) != 1 {
		t.Fatalf("%d reports: %v", len(c.raw), err)
	}
	if got := c.raw[0]; got.Identity != r.Identity || len(got.Samples) > 0 || time.Since(time.Unix(0, got.ReceivedTime)) > time.Hour || r.ReceivedTime != 0 {
		t.Errorf("%+v", got)
	}
}

// One connection serves all writes, and a write that is too large for one request makes
// several.
func TestRequestsShareAConnection(t *testing.T) {
	c := newCentre(t)
	u := c.config()
	u.Request = 64 << 10
	s := open(t, u)
	all := reports("pump-1", 1, 3000)
	for i := range 2 {
		if err := s.Write(t.Context(), all[i*1500:][:1500]); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.Received()) != 3000 || c.conns != 1 || len(c.requests) < 4 {
		t.Errorf("%d reports over %d connections in requests of %v", len(c.Received()), c.conns, c.requests)
	}
}

// writeError returns the error of the report at an index.
func writeError(t testing.TB, err error, i int) error {
	t.Helper()
	var each *penstock.WriteError
	if !errors.As(err, &each) {
		t.Fatalf("the error names no report: %v", err)
	}
	return each.Failed[i]
}

// Accepted is not written: only what the record of the centre has is.
func TestAcceptedIsNotCommitted(t *testing.T) {
	c := newCentre(t)
	s := open(t, c.config())
	c.change(func() { c.behind = true })
	if err := s.Write(t.Context(), reports("pump-1", 1, 2)); penstock.CodeOf(err) != penstock.Unavailable || !strings.Contains(err.Error(), "not settled") {
		t.Errorf("the record is behind: %v", err)
	}
	c.change(func() { c.refuse["pump-2"] = penstock.ReasonUnit })
	err := s.Write(t.Context(), []*penstock.Report{report("pump-2", 1), report("pump-1", 3)})
	if code := penstock.CodeOf(writeError(t, err, 0)); code != penstock.Invalid {
		t.Errorf("refused: code %s", code)
	}
	if code := penstock.CodeOf(writeError(t, err, 1)); code != penstock.Unavailable {
		t.Errorf("not settled: code %s", code)
	}
	c.change(func() { c.behind = false })
	if err := s.Write(t.Context(), reports("pump-1", 1, 3)); err != nil {
		t.Error(err)
	}
}

// What the centre says of one report decides whether it is tried again.
func TestReasons(t *testing.T) {
	c := newCentre(t)
	s := open(t, c.config())
	for reason, code := range map[penstock.Reason]penstock.Code{
		penstock.ReasonConflict: penstock.Conflict, penstock.ReasonForbidden: penstock.Forbidden, penstock.ReasonUnknown: penstock.Forbidden,
		penstock.ReasonTooLarge: penstock.TooLarge, penstock.ReasonType: penstock.Invalid, penstock.ReasonRefused: penstock.Invalid,
		penstock.ReasonGaps: penstock.Invalid, penstock.ReasonLimited: penstock.Unavailable, "later": penstock.Invalid,
	} {
		c.change(func() { c.refuse["pump-2"] = reason })
		err := s.Write(t.Context(), []*penstock.Report{report("pump-1", 1), report("pump-2", 1)})
		if why := writeError(t, err, 1); penstock.CodeOf(why) != code || !strings.Contains(why.Error(), string(reason)+"): because of it") || writeError(t, err, 0) != nil {
			t.Errorf("%s: code %s: %v", reason, penstock.CodeOf(why), why)
		}
	}
}

// A request that is refused as a whole is the sink's trouble, with the centre's words
// and as long as it says.
func TestRefusedAsAWhole(t *testing.T) {
	c := newCentre(t)
	s := open(t, c.config())
	for _, answer := range []struct {
		status      int
		after, body string
		code        penstock.Code
		words       string
	}{
		{429, "7", `{"detail":"credential x sends more than it may"}`, penstock.Limited, "sends more"},
		{503, "3", `{"detail":"no room"}`, penstock.Unavailable, "no room"},
		{500, "", `<html>`, penstock.Unavailable, "<html>"},
		{401, "", `{"detail":"the token is not known"}`, penstock.Unavailable, "look at token"},
		{400, "", `{"detail":"/v1/reports has no query parameter"}`, penstock.Unavailable, "as new as this one"},
		{307, "", ``, penstock.Unavailable, "307"},
		{200, "", `<html>`, penstock.Unavailable, "is it a Penstock"},
		{200, "", `{"results":[]}`, penstock.Unavailable, "0 of 1"},
		{200, "", `{"results":[{"controller":"pump-1","epoch":1,"seq":1,"result":"accepted"}]}`, penstock.Unavailable, "does not say"},
		{200, "", `{"results":[{"controller":"pump-1","epoch":1,"seq":2,"result":"accepted"}],"committed":true}`, penstock.Unavailable, "another report"},
		{200, "", strings.Repeat(" ", 9<<20), penstock.Unavailable, "more than"},
	} {
		c.change(func() {
			c.say = func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
				w.Header().Set("Retry-After", answer.after)
				w.Header().Set("Location", "https://"+c.address+"/elsewhere")
				w.WriteHeader(answer.status)
				_, _ = io.WriteString(w, answer.body)
				return true
			}
		})
		err := s.Write(t.Context(), reports("pump-1", 1, 1))
		var each *penstock.WriteError
		if errors.As(err, &each) || penstock.CodeOf(err) != answer.code || !strings.Contains(err.Error(), answer.words) || fmt.Sprint(penstock.RetryAfterOf(err).Seconds()) != max(answer.after, "0") {
			t.Errorf("%d %.60s: code %s, after %v: %v", answer.status, answer.body, penstock.CodeOf(err), penstock.RetryAfterOf(err), err)
		}
	}
}

// A centre that takes fewer bytes gets smaller requests, and the one report that is too
// large even so is named.
func TestTheCentreTakesLess(t *testing.T) {
	c := newCentre(t)
	s := open(t, c.config())
	c.change(func() {
		c.say = func(w http.ResponseWriter, _ *http.Request, body []byte) bool {
			if len(body) > 600 {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
				_, _ = io.WriteString(w, `{"detail":"The body has too many bytes."}`)
			}
			return len(body) > 600
		}
	})
	rs := reports("pump-1", 1, 40)
	rs[11].Samples[0].Value = penstock.TextValue(strings.Repeat("x", 700))
	err := s.Write(t.Context(), rs)
	if why := writeError(t, err, 11); penstock.CodeOf(why) != penstock.TooLarge || len(c.Received()) != 39 {
		t.Errorf("%d reports arrived; %v", len(c.Received()), err)
	}
}

// A request that fails behind others leaves those written.
func TestTheConnectionBreaksBetweenRequests(t *testing.T) {
	c := newCentre(t)
	u := c.config()
	u.Request = 64 << 10
	s := open(t, u)
	var requests atomic.Int32
	c.change(func() {
		c.say = func(http.ResponseWriter, *http.Request, []byte) bool {
			if requests.Add(1) == 2 {
				panic(http.ErrAbortHandler)
			}
			return false
		}
	})
	rs := reports("pump-1", 1, 3000)
	err := s.Write(t.Context(), rs)
	if writeError(t, err, 0) != nil || !penstock.CodeOf(writeError(t, err, 2999)).Temporary() {
		t.Errorf("%v", err)
	}
	if err := s.Write(t.Context(), rs); err != nil || len(c.Received()) != 3000 {
		t.Errorf("%d reports arrived: %v", len(c.Received()), err)
	}
}

// The centre is believed by authority or by fingerprint, and knows the gateway by token
// or by certificate.
func TestWhoIsWho(t *testing.T) {
	c := newCentre(t)
	cert, key := testkit.WriteFiles(t, c.ca.Client(t, "substation-9"))
	var shown []byte
	seen := open(t, func() upstream.Config {
		u := c.config()
		u.TLS.CA, u.Fingerprint = "", strings.Repeat("00", 32)
		return u
	}())
	err := seen.Write(t.Context(), reports("pump-1", 1, 1))
	if err == nil || !strings.Contains(err.Error(), "has the fingerprint ") {
		t.Fatalf("a stranger: %v", err)
	}
	_, text, _ := strings.Cut(err.Error(), "has the fingerprint ")
	if shown, err = hex.DecodeString(text[:64]); err != nil || len(shown) != sha256.Size {
		t.Fatal(text, err)
	}
	colons := strings.ToUpper(strings.Join(slices.Collect(func(yield func(string) bool) {
		for _, b := range shown {
			if !yield(fmt.Sprintf("%02x", b)) {
				return
			}
		}
	}), ":"))
	for name, change := range map[string]func(*upstream.Config){
		"":                         func(*upstream.Config) {},
		"pinned":                   func(u *upstream.Config) { u.TLS.CA, u.Fingerprint = "", colons },
		"certificate":              func(u *upstream.Config) { u.Token, u.TLS.Cert, u.TLS.Key = config.NewSecret(""), cert, key },
		"not signed: unknown auth": func(u *upstream.Config) { u.TLS.CA = "" },
		"401: token is not known":  func(u *upstream.Config) { u.Token = config.NewSecret("another") },
	} {
		u := c.config()
		change(&u)
		err := open(t, u).Write(t.Context(), reports("pump-1", 1, 1))
		if _, words, bad := strings.Cut(name, ": "); bad != (err != nil) || err != nil && (penstock.CodeOf(err) != penstock.Unavailable || !strings.Contains(err.Error(), words)) {
			t.Errorf("%s: code %s: %v", name, penstock.CodeOf(err), err)
		}
	}
	if !slices.Contains(c.shown, "substation-9") {
		t.Errorf("the centre was shown %v", c.shown)
	}
}

// A proxy is used where it is configured.
func TestProxy(t *testing.T) {
	c := newCentre(t)
	var through atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, err := net.Dial("tcp", r.Host)
		if r.Method != http.MethodConnect || err != nil {
			t.Errorf("%s %s: %v", r.Method, r.Host, err)
			return
		}
		through.Add(1)
		from, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n") // who has gone connects anew
		go func() { _, _ = io.Copy(to, from); to.Close() }()
		_, _ = io.Copy(from, to)
		from.Close()
	}))
	defer proxy.Close()
	u := c.config()
	u.Proxy = proxy.URL
	s := open(t, u)
	if err := s.Write(t.Context(), reports("pump-1", 1, 3)); err != nil || through.Load() != 1 {
		t.Errorf("%d connections: %v", through.Load(), err)
	}
	if p := u.Peers(); len(p) != 1 || "http://"+p[0].Address != proxy.URL {
		t.Errorf("%+v", p)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestPeers(t *testing.T) {
	c := newCentre(t)
	u := c.config()
	conn, err := u.Peers()[0].Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	u.TLS.CA, u.Fingerprint = "", strings.Repeat("ab", 32)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := u.Peers()[0].Dial(ctx); err == nil || !strings.Contains(err.Error(), "fingerprint") {
		t.Errorf("a stranger: %v", err)
	}
}

func TestConfig(t *testing.T) {
	good := func(change func(*upstream.Config)) upstream.Config {
		c := upstream.Config{Server: "https://centre.example", Token: config.NewSecret("x")}
		change(&c)
		return c
	}
	for _, c := range []upstream.Config{
		good(func(*upstream.Config) {}), good(func(c *upstream.Config) { c.Token, c.TLS.Cert, c.TLS.Key = config.NewSecret(""), "a", "b" }),
		good(func(c *upstream.Config) {
			c.Fingerprint, c.Proxy, c.Request = "sha256:"+strings.Repeat("0f", 32), "http://proxy:3128", 8<<20
		}),
	} {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for key, change := range map[string]func(*upstream.Config){
		"server":             func(c *upstream.Config) { c.Server = "http://centre.example" },
		"path":               func(c *upstream.Config) { c.Server = "https://centre.example/x" },
		"token":              func(c *upstream.Config) { c.Token = config.NewSecret("") },
		"fingerprint":        func(c *upstream.Config) { c.Fingerprint = "00:11" },
		"tls.ca":             func(c *upstream.Config) { c.Fingerprint, c.TLS.CA = strings.Repeat("0f", 32), "x" },
		"proxy":              func(c *upstream.Config) { c.Proxy = "proxy:3128" },
		"no URL such":        func(c *upstream.Config) { c.Proxy = "http://proxy" },
		"has a user or":      func(c *upstream.Config) { c.Proxy = "http://u:p@proxy:3128" },
		"between 64KiB and ": func(c *upstream.Config) { c.Request = 9 << 20 },
	} {
		c := good(change)
		if err := c.Validate(); penstock.CodeOf(err) != penstock.Invalid || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}
