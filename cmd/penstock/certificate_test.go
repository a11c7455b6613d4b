package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/testkit"
)

// A controller that connects with its certificate needs no token, speaks for itself
// alone, and is shut out when the credential is revoked.
func TestACertificateForAToken(t *testing.T) {
	authority := testkit.NewAuthority(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, authority.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	g := launch(t, fmt.Sprintf("tls: {client_ca: %s}\n", file))
	own := authority.Client(t, "pump-17")
	certificate, _ := testkit.WriteFiles(t, own)
	roots := x509.NewCertPool()
	if text, err := os.ReadFile(filepath.Join(g.data(), "tls", "cert.pem")); err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatalf("the gateway's certificate: %v", err)
	}
	post := func(controller string, seq int, shown ...tls.Certificate) int {
		t.Helper()
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: shown, MinVersion: tls.VersionTLS13}}
		defer transport.CloseIdleConnections()
		body := fmt.Sprintf(`{"controller":%q,"epoch":1,"seq":%d,"samples":[{"point":"flow","time":"2026-11-22T06:00:%02dZ","value":1.5}]}`, controller, seq, seq)
		answer, err := (&http.Client{Transport: transport}).Post("https://"+g.address+"/v1/reports", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.StatusCode
	}
	wants := func(want, got int) {
		t.Helper()
		if got != want {
			t.Errorf("the gateway answered %d, want %d", got, want)
		}
	}
	wants(http.StatusUnauthorized, post("pump-17", 1, own)) // its name has no credential yet
	said := g.command("controllers", "add", "pump-17", "--certificate", certificate)
	id, ok := strings.CutPrefix(said, "Credential ")
	if !ok || !strings.HasSuffix(said, "is for the certificate cn:pump-17.\n") {
		t.Fatalf("the command said %q", said)
	}
	id, _, _ = strings.Cut(id, ",")
	wants(http.StatusOK, post("pump-17", 1, own))
	wants(http.StatusMultiStatus, post("pump-18", 1, own)) // which says: forbidden
	wants(http.StatusUnauthorized, post("pump-17", 2))
	wants(http.StatusUnauthorized, post("pump-17", 2, authority.Client(t, "pump-18")))
	if list := g.command("controllers", "list", "--credentials"); !strings.Contains(list, "cn:pump-17") {
		t.Errorf("the list has no name of the certificate: %s", list)
	}
	g.command("controllers", "revoke", id)
	wants(http.StatusUnauthorized, post("pump-17", 3, own))
	if out, err := exec.Command("penstock", "controllers", "add", "x", "--certificate", file+".none", "--data", g.data()).CombinedOutput(); err == nil || !strings.Contains(string(out), "no such file") {
		t.Errorf("%v: %s", err, out)
	}
}
