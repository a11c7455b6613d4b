package pgtest

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/penstock/penstock/internal/testkit"
)

// TLS has the server show the certificate to clients that want TLS.
func (s *Server) TLS(t testing.TB, cert tls.Certificate) {
	t.Helper()
	from := [2]string{}
	from[0], from[1] = testkit.WriteFiles(t, cert)
	for i, name := range []string{"server.crt", "server.key"} {
		text, err := os.ReadFile(from[i])
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(s.data(), name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if s.owner != nil {
			if err := os.Chown(path, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	conn := s.Connect(t, "postgres")
	for _, statement := range []string{"ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(fmt.Errorf("%s: %w", statement, err))
		}
	}
}
