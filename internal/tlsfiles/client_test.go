package tlsfiles_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/tlsfiles"
)

func TestClientReadsItsFiles(t *testing.T) {
	ca := testkit.NewAuthority(t)
	cert, key := testkit.WriteFiles(t, ca.Client(t, "gateway"))
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	c := tlsfiles.Client{CA: file, Cert: cert, Key: key, ServerName: "broker"}
	got, err := c.Config()
	if err != nil || got.MinVersion != tls.VersionTLS13 || got.ServerName != "broker" || len(got.Certificates) != 1 || !got.RootCAs.Equal(ca.Pool()) {
		t.Errorf("%+v, %v", got, err)
	}
	c.MinVersion = "1.2"
	if got, err := c.Config(); err != nil || got.MinVersion != tls.VersionTLS12 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []tlsfiles.Client{{CA: "none.pem"}, {CA: key}, {Cert: "none.pem", Key: key}} {
		if _, err := bad.Config(); penstock.CodeOf(err) != penstock.Invalid || !strings.Contains(err.Error(), "tls.c") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	for _, bad := range []tlsfiles.Client{{Cert: "x"}, {Key: "x"}, {MinVersion: "1.1"}} {
		if err := bad.Validate(); penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
