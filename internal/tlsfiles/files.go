package tlsfiles

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock"
)

// The files' names in [Options.Dir].
const (
	CertName = "cert.pem"
	KeyName  = "key.pem"
)

// Options say where the files are.
type Options struct {
	Dir      string // made with mode 0750; cert.pem and key.pem are made in it when they are not there
	CertFile string // a certificate chain of the user's own, with KeyFile; then nothing is made
	KeyFile  string
	ClientCA string // authorities that sign clients' certificates; empty: clients are not asked for one
	// RequireClient refuses every client without a certificate. Otherwise a
	// client may show one or a token.
	RequireClient bool
	Hosts         []string // names and addresses in a certificate that is made; nil means [MachineHosts]
	Log           *slog.Logger
	Now           func() time.Time // nil means time.Now
	Rand          io.Reader        // nil means crypto/rand
}

// Files are the files of one listener, as they were last read well. It is safe
// for concurrent use.
type Files struct {
	o Options

	mu     sync.RWMutex // guards everything below
	loaded loaded
}

// loaded is what the files held. It is replaced as a whole, never changed.
type loaded struct {
	sum    [sha256.Size]byte
	cert   *tls.Certificate
	config *tls.Config // for one connection; holds cert and the authorities
}

// Open reads the files, and makes a key and a certificate first when neither is
// there. Errors have the code [penstock.Invalid] when a file does not hold what
// it should, and say which.
func Open(o Options) (*Files, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, penstock.Errorf(penstock.Invalid, "a certificate and its key must both be named, or neither")
	}
	if o.CertFile == "" {
		o.CertFile, o.KeyFile = filepath.Join(o.Dir, CertName), filepath.Join(o.Dir, KeyName)
		if err := ensure(o); err != nil {
			return nil, err
		}
	}
	f := &Files{o: o}
	if _, err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Config returns the configuration for a listener. It follows the files: new
// connections get what [Files.Reload] read last.
func (f *Files) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.current().cert, nil },
		// The tickets of resumed sessions keep this configuration's own keys, so
		// that a reload does not cost every controller a full handshake.
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return f.current().config, nil },
	}
}

// Reload reads the files again and tells whether they changed. When they cannot
// be used the error says why, and what was read before stays in use.
func (f *Files) Reload() (changed bool, err error) {
	l, err := load(f.o)
	if err != nil {
		return false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.sum == f.loaded.sum {
		return false, nil
	}
	f.loaded = l
	return true, nil
}

// Watch reads the files again each interval until ctx ends, and logs what
// happened. The caller owns the goroutine that it runs in.
func (f *Files) Watch(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		switch changed, err := f.Reload(); {
		case err != nil:
			f.o.Log.Error("the TLS files cannot be used: the ones before stay in use", "error", err)
		case changed:
			f.o.Log.Info("the TLS files changed", "fingerprint", f.Fingerprint(), "expires", f.Expiry())
		}
	}
}

// Expiry returns the time from which clients refuse the certificate.
func (f *Files) Expiry() time.Time { return f.current().cert.Leaf.NotAfter }

// Fingerprint returns the fingerprint of the certificate in use: see the
// function [Fingerprint].
func (f *Files) Fingerprint() string { return Fingerprint(f.current().cert.Leaf) }

// CertFile returns the path of the certificate in use, for commands that show
// how to connect.
func (f *Files) CertFile() string { return f.o.CertFile }

func (f *Files) current() loaded {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.loaded
}

// Fingerprint returns the SHA-256 digest of the certificate in the form that
// openssl x509 -fingerprint -sha256 prints: pairs of upper-case hexadecimal
// digits with colons between.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	digits := strings.ToUpper(hex.EncodeToString(sum[:]))
	var b strings.Builder
	for i := 0; i < len(digits); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(digits[i : i+2])
	}
	return b.String()
}

func load(o Options) (loaded, error) {
	certPEM, err := read(o.CertFile)
	if err != nil {
		return loaded{}, err
	}
	if err := checkMode(o.KeyFile); err != nil {
		return loaded{}, err
	}
	keyPEM, err := read(o.KeyFile)
	if err != nil {
		return loaded{}, err
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return loaded{}, penstock.Errorf(penstock.Invalid, "%s and %s are not a certificate and its key: %w", o.CertFile, o.KeyFile, err)
	}
	config := &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{cert},
		NextProtos:   []string{"h2", "http/1.1"},
	}
	var authorities []byte
	if o.ClientCA != "" {
		if authorities, err = read(o.ClientCA); err != nil {
			return loaded{}, err
		}
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(authorities) {
			return loaded{}, penstock.Errorf(penstock.Invalid, "%s holds no certificate of an authority in PEM form", o.ClientCA)
		}
		config.ClientAuth = tls.VerifyClientCertIfGiven
		if o.RequireClient {
			config.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	sum := sha256.Sum256(bytes.Join([][]byte{certPEM, keyPEM, authorities}, []byte{0}))
	return loaded{sum: sum, cert: &config.Certificates[0], config: config}, nil
}

// maxFile bounds a file: a chain of certificates is a few KiB.
const maxFile = 1 << 20

func read(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "the TLS files: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "the TLS files: %w", err)
	}
	if len(b) > maxFile {
		return nil, penstock.Errorf(penstock.TooLarge, "the TLS file %s is larger than %d bytes", name, maxFile)
	}
	return b, nil
}

// checkMode refuses a key that every account of the machine can read. A group
// may read it: that is how distributions hand keys to services.
func checkMode(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return penstock.Errorf(penstock.Invalid, "the TLS files: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return penstock.Errorf(penstock.Invalid, "the key %s may be read by every account (mode %#o): chmod 600 it", name, mode)
	}
	return nil
}

func exists(name string) (bool, error) {
	_, err := os.Lstat(name)
	if os.IsNotExist(err) {
		return false, nil
	}
	return err == nil, err
}

// writeFile makes name whole or not at all, also across a power cut.
func writeFile(name string, data []byte, mode fs.FileMode) error {
	dir := filepath.Dir(name)
	tmp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails once it is renamed, as it should
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Chmod(mode)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
