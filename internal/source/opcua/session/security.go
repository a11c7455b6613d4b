package session

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
)

// Security says how the connection is secured.
type Security struct {
	Policy      string `yaml:"policy,omitempty" jsonschema_description:"Basic256Sha256 (when left out), Aes128_Sha256_RsaOaep, Aes256_Sha256_RsaPss or None"`
	Mode        string `yaml:"mode,omitempty" jsonschema_description:"SignAndEncrypt (when left out), Sign, or None with the policy None"`
	PlainText   bool   `yaml:"plain_text,omitempty" jsonschema_description:"allow the policy None, and a password that is not encrypted, towards a server that is not on this machine"`
	Trust       string `yaml:"trust,omitempty" jsonschema_description:"the server's certificate: sha256:HEX for this one alone, or first for the one that is shown first, which is then kept; ca is the other way"`
	CA          string `yaml:"ca,omitempty" jsonschema_description:"file with the authorities that sign the server's certificate (PEM)"`
	Application Pair   `yaml:"application,omitempty" jsonschema_description:"certificate and key that Penstock shows as a client; it makes its own when left out"`
}

// Pair is a certificate and its key.
type Pair struct {
	Cert string `yaml:"cert,omitempty" jsonschema_description:"file with the certificate (PEM)"`
	Key  string `yaml:"key,omitempty" jsonschema_description:"file with its RSA key (PEM)"`
}

// Settings say which server, and as whom.
type Settings struct {
	Endpoint string
	Security Security
	User     string
	Password config.Secret
	Identity Pair          // of a user, in place of a password
	Timeout  time.Duration // for each request that is to be answered at once
	Longest  time.Duration // more than any request may take

	host        string
	fingerprint string // in lower case hexadecimal, empty for none
}

// PolicyNone is the security policy without security.
const PolicyNone = "None"

// The other policies, and the modes, by their names in the standard.
const (
	policyBasic256     = "Basic256Sha256"
	policyAes128       = "Aes128_Sha256_RsaOaep"
	policyAes256       = "Aes256_Sha256_RsaPss"
	modeNone           = "None"
	modeSign           = "Sign"
	modeSignAndEncrypt = "SignAndEncrypt"
	trustFirst         = "first"
	fingerprintPrefix  = "sha256:"
)

// Fill fills in what was left out, and returns all that is wrong, with code
// [penstock.Invalid] and the keys of a source's configuration.
func (s *Settings) Fill() error {
	var p checker
	p.endpoint(s)
	p.security(s)
	p.user(s)
	return errors.Join(p.found...)
}

// checker collects what is wrong, each with its key.
type checker struct{ found []error }

func (p *checker) refuse(key, format string, args ...any) {
	p.found = append(p.found, penstock.Errorf(penstock.Invalid, "%s: %s", key, fmt.Sprintf(format, args...)))
}

func (p *checker) endpoint(s *Settings) {
	u, err := url.Parse(s.Endpoint)
	switch {
	case err != nil || u.Scheme != "opc.tcp" || u.Hostname() == "":
		p.refuse("endpoint", "%q is no address of a server: write opc.tcp://host:4840/path", s.Endpoint)
	case u.User != nil:
		p.refuse("endpoint", "it has a user or a password: user and password are keys of their own")
	default:
		s.host = u.Hostname()
	}
}

func (p *checker) security(s *Settings) {
	c := &s.Security
	c.Policy = cmp.Or(c.Policy, policyBasic256)
	switch c.Policy {
	case PolicyNone, policyBasic256, policyAes128, policyAes256:
	default:
		p.refuse("security.policy", "%q is none of %s, %s, %s and %s", c.Policy, policyBasic256, policyAes128, policyAes256, PolicyNone)
	}
	if c.Mode == "" {
		c.Mode = modeSignAndEncrypt
		if c.Policy == PolicyNone {
			c.Mode = modeNone
		}
	}
	switch {
	case c.Mode != modeNone && c.Mode != modeSign && c.Mode != modeSignAndEncrypt:
		p.refuse("security.mode", "%q is none of %s, %s and %s", c.Mode, modeSignAndEncrypt, modeSign, modeNone)
	case (c.Mode == modeNone) != (c.Policy == PolicyNone):
		p.refuse("security.mode", "%s does not go with the policy %s", c.Mode, c.Policy)
	}
	p.pair("security.application", c.Application)
	if c.Policy == PolicyNone {
		if !s.plain() {
			p.refuse("security.policy", "%s is not on this machine, and without security everybody on the way can read and change values: "+
				"use %s, or set plain_text: true", s.host, policyBasic256)
		}
		return
	}
	p.trust(s)
}

// plain tells whether the way to the server may be without protection.
func (s *Settings) plain() bool {
	ip := net.ParseIP(s.host)
	return s.Security.PlainText || s.host == "localhost" || ip != nil && ip.IsLoopback()
}

func (p *checker) trust(s *Settings) {
	c := &s.Security
	hexed, pinned := strings.CutPrefix(c.Trust, fingerprintPrefix)
	switch {
	case c.Trust == "" && c.CA == "":
		p.refuse("security.trust", "nothing says whom to believe: write sha256: and the fingerprint of the server's certificate, "+
			"a ca file, or %s to keep the first that is shown", trustFirst)
	case c.Trust != "" && c.CA != "":
		p.refuse("security.trust", "it is trust or ca, not both")
	case pinned:
		s.fingerprint = strings.ToLower(strings.ReplaceAll(hexed, ":", ""))
		if raw, err := hex.DecodeString(s.fingerprint); err != nil || len(raw) != 32 {
			p.refuse("security.trust", "a fingerprint is sha256: and 64 hexadecimal digits")
		}
	case c.Trust != "" && c.Trust != trustFirst:
		p.refuse("security.trust", "%q is neither sha256:HEX nor %s", c.Trust, trustFirst)
	}
}

func (p *checker) pair(key string, c Pair) {
	if (c.Cert == "") != (c.Key == "") {
		p.refuse(key, "cert and key go together; only one of them is set")
	}
}

func (p *checker) user(s *Settings) {
	p.pair("user_identity", s.Identity)
	if s.User == "" && s.Password.Set() {
		p.refuse("user", "there is a password without a user")
	}
	if s.User != "" && s.Identity.Cert != "" {
		p.refuse("user", "it is user and password or user_identity, not both")
	}
}
