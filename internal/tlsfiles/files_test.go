package tlsfiles_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/tlsfiles"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, o tlsfiles.Options) *tlsfiles.Files {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "tls")
	}
	f, err := tlsfiles.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// shake runs one handshake over loopback and returns both ends' errors.
func shake(t *testing.T, server, client *tls.Config) (state tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			done <- err
			return
		}
		defer c.Close()
		s := tls.Server(c, server)
		if err = s.Handshake(); err == nil {
			_, err = s.Write([]byte("x"))
		}
		done <- err
	}()
	c, err := tls.Dial("tcp", ln.Addr().String(), client)
	if err == nil {
		_, err = c.Read(make([]byte, 1))
		state = c.ConnectionState()
		c.Close()
	}
	return state, <-done, err
}

func trusting(t *testing.T, certFile string) *tls.Config {
	t.Helper()
	b, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(b)
	return &tls.Config{RootCAs: pool, ServerName: "localhost"}
}

func TestFirstStartMakesACertificate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	f := open(t, tlsfiles.Options{Dir: dir})
	for name, want := range map[string]os.FileMode{"": 0o750, "cert.pem": 0o644, "key.pem": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: mode %v, %v", name, info.Mode(), err)
		}
	}
	if !regexp.MustCompile(`^([0-9A-F]{2}:){31}[0-9A-F]{2}$`).MatchString(f.Fingerprint()) {
		t.Errorf("fingerprint %s", f.Fingerprint())
	}
	client := trusting(t, f.CertFile())
	for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
		client.ServerName = host
		if _, s, c := shake(t, f.Config(), client); s != nil || c != nil {
			t.Errorf("as %s: %v, %v", host, s, c)
		}
	}
	client.ServerName = "elsewhere"
	if _, _, err := shake(t, f.Config(), client); err == nil {
		t.Error("a name that is not in the certificate passed")
	}
	again := open(t, tlsfiles.Options{Dir: dir})
	if again.Fingerprint() != f.Fingerprint() {
		t.Error("the second start made another certificate")
	}
	if left := time.Until(f.Expiry()); left < 4*365*24*time.Hour {
		t.Errorf("it lives %v", left)
	}
}

func TestOnlyTLS13(t *testing.T) {
	f := open(t, tlsfiles.Options{})
	client := trusting(t, f.CertFile())
	client.MaxVersion = tls.VersionTLS12
	if _, _, err := shake(t, f.Config(), client); err == nil {
		t.Fatal("TLS 1.2 passed")
	}
}

func TestAPowerCutBetweenTheFiles(t *testing.T) {
	dir := t.TempDir()
	f := open(t, tlsfiles.Options{Dir: dir})
	key, _ := os.ReadFile(filepath.Join(dir, "key.pem"))
	os.Remove(f.CertFile())
	open(t, tlsfiles.Options{Dir: dir})
	if again, _ := os.ReadFile(filepath.Join(dir, "key.pem")); string(again) != string(key) {
		t.Error("the key was made anew")
	}
}

func TestRefusals(t *testing.T) {
	good := t.TempDir()
	open(t, tlsfiles.Options{Dir: good})
	cert, key := filepath.Join(good, "cert.pem"), filepath.Join(good, "key.pem")
	file := func(content string, mode os.FileMode) string {
		name := filepath.Join(t.TempDir(), "file.pem")
		if err := os.WriteFile(name, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	keyText, _ := os.ReadFile(key)
	noKey := t.TempDir()
	os.WriteFile(filepath.Join(noKey, "cert.pem"), []byte("x"), 0o600)
	for name, c := range map[string]struct {
		o    tlsfiles.Options
		says string
	}{
		"a certificate without its key": {tlsfiles.Options{Dir: noKey}, "put the key back"},
		"only one named":                {tlsfiles.Options{CertFile: cert}, "both"},
		"a missing file":                {tlsfiles.Options{CertFile: cert + "x", KeyFile: key}, "cert.pemx"},
		"a key for all":                 {tlsfiles.Options{CertFile: cert, KeyFile: file(string(keyText), 0o644)}, "chmod 600"},
		"no certificate":                {tlsfiles.Options{CertFile: file("hello", 0o600), KeyFile: key}, "are not a certificate"},
		"no authority":                  {tlsfiles.Options{CertFile: cert, KeyFile: key, ClientCA: file("hello", 0o600)}, "no certificate of an authority"},
		"a huge file":                   {tlsfiles.Options{CertFile: file(strings.Repeat("x", 1<<20+1), 0o600), KeyFile: key}, "larger"},
	} {
		_, err := tlsfiles.Open(c.o)
		if err == nil || !strings.Contains(err.Error(), c.says) || penstock.CodeOf(err) == penstock.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReload(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	f, g := open(t, tlsfiles.Options{Dir: dir}), open(t, tlsfiles.Options{Dir: other})
	config, before := f.Config(), f.Fingerprint()
	if changed, err := f.Reload(); changed || err != nil {
		t.Fatal(changed, err)
	}
	move := func(name string) {
		b, _ := os.ReadFile(filepath.Join(other, name))
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	move("cert.pem")
	if changed, err := f.Reload(); changed || err == nil || f.Fingerprint() != before {
		t.Fatalf("a certificate without its key was taken: %v", err)
	}
	move("key.pem")
	if changed, err := f.Reload(); !changed || err != nil || f.Fingerprint() != g.Fingerprint() {
		t.Fatal(changed, err)
	}
	state, s, c := shake(t, config, trusting(t, g.CertFile()))
	if s != nil || c != nil || tlsfiles.Fingerprint(state.PeerCertificates[0]) != g.Fingerprint() {
		t.Fatalf("the old configuration does not follow: %v, %v", s, c)
	}
}

func TestWatch(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := open(t, tlsfiles.Options{Dir: dir})
		g := open(t, tlsfiles.Options{Dir: other})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); f.Watch(ctx, time.Minute) }()
		for _, name := range []string{"cert.pem", "key.pem"} {
			b, _ := os.ReadFile(filepath.Join(other, name))
			os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		<-time.After(time.Minute + time.Second) // virtual time
		synctest.Wait()
		if f.Fingerprint() != g.Fingerprint() {
			t.Error("the change was not seen")
		}
		cancel()
		<-done
	})
}

func clientCert(t *testing.T) (ca string, cert tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pump-17"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca = filepath.Join(t.TempDir(), "ca.pem")
	os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
	return ca, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestClientCertificates(t *testing.T) {
	ca, cert := clientCert(t)
	_, stranger := clientCert(t)
	for _, c := range []struct {
		require bool
		certs   []tls.Certificate
		ok      bool
	}{
		{false, nil, true},
		{false, []tls.Certificate{cert}, true},
		{false, []tls.Certificate{stranger}, false},
		{true, nil, false},
		{true, []tls.Certificate{cert}, true},
		{true, []tls.Certificate{stranger}, false},
	} {
		f := open(t, tlsfiles.Options{ClientCA: ca, RequireClient: c.require})
		client := trusting(t, f.CertFile())
		// Sent whatever authorities the server names, as a stranger would.
		client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(c.certs) == 0 {
				return new(tls.Certificate), nil
			}
			return &c.certs[0], nil
		}
		if _, err, _ := shake(t, f.Config(), client); (err == nil) != c.ok {
			t.Errorf("required %v, shown %d: %v", c.require, len(c.certs), err)
		}
	}
}
