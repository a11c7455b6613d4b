package upstream_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/sinktest"
	"github.com/penstock/penstock/internal/sink/upstream"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/link"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// token is what the centre knows.
const token = "the token of the substation"

// centre answers as the API of a Penstock does. What it takes is in a destination.
type centre struct {
	*sinktest.Destination
	address string
	file    string // the authority of its certificate
	ca      *testkit.Authority
	sink    penstock.Sink // into the destination

	mu       sync.Mutex // guards what follows
	refuse   map[string]penstock.Reason
	lose     bool // the next answer
	say      func(w http.ResponseWriter, r *http.Request, body []byte) bool
	behind   bool // the record
	conns    int
	requests []int // reports of each
	raw      []*penstock.Report
	shown    []string // names in the certificates of clients
}

func newCentre(t testing.TB) *centre {
	t.Helper()
	c := &centre{Destination: sinktest.NewDestination(), ca: testkit.NewAuthority(t), refuse: map[string]penstock.Reason{}}
	c.sink = c.Open()
	c.file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(c.file, c.ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(c)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			c.change(func() { c.conns++ })
		}
	}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{c.ca.Server(t, "127.0.0.1")}, MinVersion: tls.VersionTLS13, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: c.ca.Pool()}
	s.StartTLS()
	c.address = s.Listener.Addr().String()
	t.Cleanup(s.Close)
	return c
}

func (c *centre) change(what func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	what()
}

func (c *centre) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	c.mu.Lock()
	say := c.say
	for _, cert := range r.TLS.PeerCertificates {
		c.shown = append(c.shown, cert.Subject.CommonName)
	}
	c.mu.Unlock()
	switch {
	case err != nil:
		return
	case say != nil && say(w, r, body):
		return
	case r.Method != http.MethodPost || r.URL.RequestURI() != "/v1/reports?wait=committed" || r.Header.Get("Content-Type") != link.ForwardedType:
		http.Error(w, "what is that?", http.StatusTeapot)
		return
	case len(r.TLS.PeerCertificates) == 0 && r.Header.Get("Authorization") != "Bearer "+token:
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"detail":"the token is not known"}`)
		return
	}
	answer, err := c.take(r, body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_ = json.NewEncoder(w).Encode(answer) // a sink that has gone asks again
}

type result struct {
	Controller string          `json:"controller"`
	Epoch      uint64          `json:"epoch,omitempty"`
	Seq        uint64          `json:"seq,omitempty"`
	Key        string          `json:"key,omitempty"`
	Result     string          `json:"result"`
	Reason     penstock.Reason `json:"reason,omitempty"`
	Detail     string          `json:"detail,omitempty"`
}

// take takes the reports of a body.
func (c *centre) take(r *http.Request, body []byte) (map[string]any, error) {
	rest, err := link.CutForwarded(body)
	if err != nil {
		return nil, err
	}
	var decoder link.Decoder
	results, reports := []result{}, 0
	for ; len(rest) > 0; reports++ {
		report := &penstock.Report{}
		if rest, err = decoder.DecodeForwarded(rest, report); err != nil {
			return nil, err
		}
		v := result{report.Controller, report.Identity.Epoch, report.Identity.Seq, report.Identity.Key, "accepted", "", ""}
		c.change(func() {
			c.raw = append(c.raw, report)
			v.Reason = c.refuse[report.Controller]
		})
		if v.Reason != "" {
			v.Result, v.Detail = "rejected", "because of it"
		} else if err := c.sink.Write(r.Context(), []*penstock.Report{report}); err != nil {
			return nil, err
		}
		results = append(results, v)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, reports)
	if c.lose {
		c.lose = false
		panic(http.ErrAbortHandler)
	}
	return map[string]any{"results": results, "committed": !c.behind}, nil
}

func (c *centre) config() upstream.Config {
	u := upstream.Config{Server: "https://" + c.address, Token: config.NewSecret(token)}
	u.TLS.CA = c.file
	return u
}

func open(t testing.TB, c upstream.Config) *upstream.Sink {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := upstream.New(c, sink.Env{Name: "centre", Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func report(controller string, seq uint64) *penstock.Report {
	at := int64(1795327200e9) + int64(seq)*1e9
	return &penstock.Report{
		Controller: controller, Identity: penstock.SequenceIdentity(1, seq), Source: "test", ReceivedTime: at + 7, AcceptedTime: at + 9,
		Samples: []penstock.Sample{{Point: "flow", SourceTime: at, Value: penstock.FloatValue(float64(seq) / 8)}},
	}
}

func reports(controller string, first, last uint64) (rs []*penstock.Report) {
	for seq := first; seq <= last; seq++ {
		rs = append(rs, report(controller, seq))
	}
	return rs
}
