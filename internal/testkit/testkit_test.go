package testkit_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// record stands for a test and keeps what it was failed with.
type record struct {
	testing.TB
	failed string
}

func (r *record) Helper()                      {}
func (r *record) Errorf(f string, args ...any) { r.failed = fmt.Sprintf(f, args...) }
func (r *record) Fatalf(f string, args ...any) { r.failed = fmt.Sprintf(f, args...) }

func TestGolden(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("testdata", "g.txt"), []byte("one\ntwo\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for got, fails := range map[string]bool{
		"one\ntwo\n":        false,
		"one\ntwo":          true,
		"one\n2\n":          true,
		"one\ntwo\nthree\n": true,
		"":                  true,
	} {
		r := &record{TB: t}
		testkit.Golden(r, "g.txt", []byte(got))
		if fails != (r.failed != "") {
			t.Errorf("%q: failed with %q", got, r.failed)
		}
	}
}

func TestEventually(t *testing.T) {
	calls := 0
	testkit.Eventually(t, func() bool { calls++; return calls == 3 }, "the third call")
	if calls != 3 {
		t.Errorf("%d calls, want 3", calls)
	}
	synctest.Test(t, func(t *testing.T) {
		r := &record{TB: t}
		testkit.Eventually(r, func() bool { return false }, "the impossible")
		if want := "waited 30s in vain: the impossible"; r.failed != want {
			t.Errorf("failed with %q, want %q", r.failed, want)
		}
	})
}

// TestAuthority lets a server and a client with certificates of one authority
// meet, and shows that a client without one, or of another authority, is refused.
func TestAuthority(t *testing.T) {
	authority, stranger := testkit.NewAuthority(t), testkit.NewAuthority(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused clients are wanted here
	server.TLS = &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{authority.Server(t)},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    authority.Pool(),
	}
	server.StartTLS()
	defer server.Close()
	for name, c := range map[string]struct {
		roots *x509.CertPool
		certs []tls.Certificate
		ok    bool
	}{
		"both known":       {authority.Pool(), []tls.Certificate{authority.Client(t, "pump-17")}, true},
		"no certificate":   {authority.Pool(), nil, false},
		"unknown client":   {authority.Pool(), []tls.Certificate{stranger.Client(t, "pump-17")}, false},
		"unknown server":   {stranger.Pool(), []tls.Certificate{authority.Client(t, "pump-17")}, false},
		"a server's leaf":  {authority.Pool(), []tls.Certificate{authority.Server(t)}, false},
		"written and read": {authority.Pool(), []tls.Certificate{reread(t, authority.Client(t, "pump-17"))}, true},
	} {
		got, err := get(server.URL, &tls.Config{RootCAs: c.roots, Certificates: c.certs})
		if c.ok != (err == nil && got == "pump-17") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func reread(t *testing.T, cert tls.Certificate) tls.Certificate {
	again, err := tls.LoadX509KeyPair(testkit.WriteFiles(t, cert))
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func get(url string, config *tls.Config) (string, error) {
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Get(url)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}
