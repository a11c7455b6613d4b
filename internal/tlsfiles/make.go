package tlsfiles

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"slices"
	"time"

	"github.com/penstock/penstock"
)

// validity of a certificate that is made. Controllers in the field hold on to
// it, so it lives long; its end is shown in health and metrics.
const validity = 5 * 365 * 24 * time.Hour

// clockAhead is how far a controller's clock may be behind at the first contact.
const clockAhead = 48 * time.Hour

// ensure makes what is not there. The key is written first: a power cut between
// the two files leaves a key that the next start makes a certificate for.
func ensure(o Options) error {
	if err := os.MkdirAll(o.Dir, 0o750); err != nil {
		return penstock.Errorf(penstock.Invalid, "the TLS files: %w", err)
	}
	hasCert, err := exists(o.CertFile)
	if err != nil {
		return penstock.Errorf(penstock.Invalid, "the TLS files: %w", err)
	}
	hasKey, err := exists(o.KeyFile)
	if err != nil {
		return penstock.Errorf(penstock.Invalid, "the TLS files: %w", err)
	}
	if hasCert && hasKey {
		return nil
	}
	if hasCert {
		return penstock.Errorf(penstock.Invalid, "%s is there and its key %s is not: put the key back, or move the certificate away to have both made anew", o.CertFile, o.KeyFile)
	}
	key, err := ensureKey(o, hasKey)
	if err != nil {
		return err
	}
	return makeCert(o, key)
}

func ensureKey(o Options, has bool) (crypto.Signer, error) {
	if has {
		return readKey(o.KeyFile)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), o.Rand)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := writeFile(o.KeyFile, block, 0o600); err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "the TLS files: %w", err)
	}
	return key, nil
}

func readKey(name string) (crypto.Signer, error) {
	b, err := read(name)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, penstock.Errorf(penstock.Invalid, "%s holds no key in PEM form", name)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "%s holds no key that can be used: %w", name, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, penstock.Errorf(penstock.Invalid, "%s holds a key that cannot sign", name)
	}
	return signer, nil
}

// makeCert makes a certificate that signs itself and nothing else: whoever
// trusts it trusts this gateway and no other.
func makeCert(o Options, key crypto.Signer) error {
	var serial [16]byte
	if _, err := io.ReadFull(o.Rand, serial[:]); err != nil {
		return err
	}
	serial[0] &= 0x7f
	now := o.Now()
	t := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(serial[:]),
		Subject:               pkix.Name{CommonName: "penstock", Organization: []string{"Penstock, made at first start"}},
		NotBefore:             now.Add(-clockAhead),
		NotAfter:              now.Add(validity),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	hosts := o.Hosts
	if hosts == nil {
		hosts = MachineHosts()
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(o.Rand, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := writeFile(o.CertFile, block, 0o644); err != nil {
		return penstock.Errorf(penstock.Invalid, "the TLS files: %w", err)
	}
	return nil
}

// MachineHosts returns the names and addresses by which this machine is
// reached: localhost, its host name, and the addresses of its interfaces.
func MachineHosts() []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil && name != "" {
		hosts = append(hosts, name)
	}
	// Without the addresses the certificate still serves by name.
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
			hosts = append(hosts, n.IP.String())
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}
