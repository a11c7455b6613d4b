package session

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/penstock/penstock"
)

// The files that the sources of this protocol share.
const (
	folder          = "opcua"
	applicationFile = "application.pem" // certificate and key
	certificateFile = "application.crt" // the certificate alone, for the server's list of clients
)

// The application's certificate is made for long: servers learn it by hand.
const (
	applicationYears = 20
	applicationBits  = 2048
)

// identity is a certificate with its key.
type identity struct {
	der []byte
	key *rsa.PrivateKey
	uri string // of the application, as the certificate names it
}

// application returns what Penstock shows as a client. One that it made itself is
// the same for all servers.
func (s *dialer) application() (*identity, error) {
	if pair := s.Security.Application; pair.Cert != "" {
		return readPair("security.application", pair)
	}
	dir := filepath.Join(s.env.Files, folder)
	name := filepath.Join(dir, applicationFile)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = s.makeApplication(dir, name)
	}
	if err != nil {
		return nil, penstock.Errorf(penstock.Unavailable, "the certificate for OPC UA: %w", err)
	}
	return parsePair(name, text, text)
}

// makeApplication makes the file, unless another source makes it first.
func (s *dialer) makeApplication(dir, name string) ([]byte, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	der, key, err := newCertificate(s.env.Now(), s.env.Rand)
	if err != nil {
		return nil, err
	}
	var both bytes.Buffer
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	both.Write(cert)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := pem.Encode(&both, &pem.Block{Type: "PRIVATE KEY", Bytes: secret}); err != nil {
		return nil, err
	}
	if err := putFirst(name, both.Bytes(), 0o600); errors.Is(err, fs.ErrExist) {
		return os.ReadFile(name)
	} else if err != nil {
		return nil, err
	}
	public := filepath.Join(dir, certificateFile)
	if err := os.WriteFile(public, cert, 0o640); err != nil {
		return nil, err
	}
	s.env.Log.Info("made a certificate for OPC UA; the servers have to trust it", "file", public, "fingerprint", fingerprint(der))
	return both.Bytes(), nil
}

// putFirst writes a whole file that is not there yet; the error is
// [fs.ErrExist] when it is.
func putFirst(name string, content []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".making-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), name)
}

// newCertificate makes a certificate as OPC 10000-6 wants those of applications.
func newCertificate(now time.Time, random io.Reader) ([]byte, *rsa.PrivateKey, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	key, err := rsa.GenerateKey(random, applicationBits)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(random, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	template := x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "Penstock", Organization: []string{"Penstock"}},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(applicationYears, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment |
			x509.KeyUsageDataEncipherment | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              []string{host},
		URIs:                  []*url.URL{{Scheme: "urn", Opaque: url.PathEscape(host) + ":penstock"}},
	}
	der, err := x509.CreateCertificate(random, &template, &template, key.Public(), key)
	return der, key, err
}

// readPair reads a certificate and its key; setting is where they are named.
func readPair(setting string, p Pair) (*identity, error) {
	cert, err := os.ReadFile(p.Cert)
	if err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "%s.cert: %w", setting, err)
	}
	key, err := os.ReadFile(p.Key)
	if err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "%s.key: %w", setting, err)
	}
	return parsePair(setting, cert, key)
}

func parsePair(where string, cert, key []byte) (*identity, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "%s: %w", where, err)
	}
	secret, ok := pair.PrivateKey.(*rsa.PrivateKey)
	if !ok {
		return nil, penstock.Errorf(penstock.Invalid, "%s: OPC UA needs an RSA key, this one is another", where)
	}
	id := &identity{der: pair.Certificate[0], key: secret}
	if uris := pair.Leaf.URIs; len(uris) > 0 {
		id.uri = uris[0].String()
	}
	return id, nil
}

// fingerprint returns the SHA-256 of a certificate in hexadecimal.
func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}
