package session

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/penstock/penstock"
)

// believe checks the certificate that a server shows, a chain with its own first,
// and returns its own alone. Errors of code [penstock.Unauthenticated] say what to
// do.
func (s *dialer) believe(chain []byte) ([]byte, error) {
	certs, err := x509.ParseCertificates(chain)
	if err != nil || len(certs) == 0 {
		return nil, penstock.Errorf(penstock.Unauthenticated, "the server shows no certificate that can be read")
	}
	leaf := certs[0]
	if s.Security.CA != "" {
		return leaf.Raw, s.signed(certs)
	}
	expected := s.fingerprint
	if s.Security.Trust == trustFirst {
		if expected, err = s.kept(leaf.Raw); err != nil {
			return nil, err
		}
		s.env.Log.Warn("the server's certificate was believed when it was first seen; to be sure, compare the fingerprint and write it to security.trust",
			"trust", fingerprintPrefix+expected)
	}
	if shown := fingerprint(leaf.Raw); shown != expected {
		return nil, penstock.Errorf(penstock.Unauthenticated, "the server shows the certificate sha256:%s and not sha256:%s: "+
			"if it was renewed, change security.trust, or delete %s; if not, somebody stands in between", shown, expected, s.keptFile())
	}
	if now := s.env.Now(); now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		s.env.Log.Warn("the server's certificate is the expected one, but out of date", "not_before", leaf.NotBefore, "not_after", leaf.NotAfter)
	}
	return leaf.Raw, nil
}

// leafOf returns the first certificate of a chain, nil when there is none.
func leafOf(chain []byte) []byte {
	certs, err := x509.ParseCertificates(chain)
	if err != nil || len(certs) == 0 {
		return nil
	}
	return certs[0].Raw
}

// signed checks that an authority of the CA file signed the certificate, for the
// host of the endpoint.
func (s *dialer) signed(certs []*x509.Certificate) error {
	text, err := os.ReadFile(s.Security.CA)
	if err != nil {
		return penstock.Errorf(penstock.Invalid, "security.ca: %w", err)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return penstock.Errorf(penstock.Invalid, "security.ca: %s holds no certificate in PEM", s.Security.CA)
	}
	for _, c := range certs[1:] {
		between.AddCert(c)
	}
	_, err = certs[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: s.env.Now(), DNSName: s.host, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return penstock.Errorf(penstock.Unauthenticated, "the server's certificate sha256:%s: %w", fingerprint(certs[0].Raw), err)
	}
	return nil
}

// kept returns the fingerprint that was kept for the endpoint, after keeping this
// certificate's when there was none.
func (s *dialer) kept(der []byte) (string, error) {
	name := s.keptFile()
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return "", penstock.Errorf(penstock.Unavailable, "the fingerprint of the server could not be kept: %w", err)
	}
	if err := putFirst(name, []byte(fingerprint(der)+"\n"), 0o640); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", penstock.Errorf(penstock.Unavailable, "the fingerprint of the server could not be kept: %w", err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return "", penstock.Errorf(penstock.Unavailable, "the fingerprint that was kept of the server: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// keptFile is where the fingerprint of the endpoint's server is kept.
func (s *dialer) keptFile() string {
	sum := sha256.Sum256([]byte(s.Endpoint))
	return filepath.Join(s.env.Files, folder, "server-"+hex.EncodeToString(sum[:8])+".txt")
}
