package upstream

import (
	"cmp"
	"encoding/hex"
	"net/url"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/remote"
	"github.com/penstock/penstock/internal/tlsfiles"
)

// Config are the settings of one centre.
type Config struct {
	Server      string          `yaml:"server" jsonschema_description:"the Penstock at the centre: https://host:8080"`
	Token       config.Secret   `yaml:"token,omitempty" jsonschema_description:"token whose scope covers the controllers of this gateway; with a client certificate that the centre knows, none is needed"`
	TLS         tlsfiles.Client `yaml:"tls,omitempty" jsonschema_description:"whom to believe and what to show"`
	Fingerprint string          `yaml:"fingerprint,omitempty" jsonschema_description:"believe the one certificate with this SHA-256, as the centre prints it at its start, and no authority"`
	Proxy       string          `yaml:"proxy,omitempty" jsonschema_description:"proxy on the way, http://host:3128; none when left out, whatever the environment says"`
	Request     config.Size     `yaml:"request,omitempty" jsonschema_description:"bytes of the reports that are sent at once, 64KiB to 8MiB; a slow link wants less. 1MiB when left out"`
}

// What the settings are when left out, and their bounds.
const (
	defaultRequest = 1 << 20
	leastRequest   = 64 << 10
	mostRequest    = 8 << 20 // what the API takes of one document
)

// Validate returns an error of code [penstock.Invalid] when a setting breaks a
// rule. The sections below it have their own.
func (c *Config) Validate() error {
	_, err := newSettings(*c)
	return err
}

// settings is a configuration with everything filled in.
type settings struct {
	Config
	server  remote.Server
	pin     []byte   // SHA-256 of the certificate; nil to ask the authorities
	proxy   *url.URL // nil for none
	request int
}

func newSettings(c Config) (s settings, err error) {
	refuse := func(format string, args ...any) (settings, error) {
		return settings{}, penstock.Errorf(penstock.Invalid, format, args...)
	}
	s.Config = c
	s.request = cmp.Or(int(c.Request), defaultRequest)
	if s.server, err = remote.Parse(c.Server, map[string]string{"https": "8080"}, false); err != nil {
		return refuse("server: %w", err)
	}
	if c.Fingerprint != "" {
		if s.pin, err = hex.DecodeString(strings.ReplaceAll(strings.TrimPrefix(c.Fingerprint, "sha256:"), ":", "")); err != nil || len(s.pin) != 32 {
			return refuse("fingerprint: a SHA-256 has 64 hexadecimal digits, with or without colons, as the centre prints it")
		}
	}
	if s.proxy, err = parseProxy(c.Proxy); err != nil {
		return refuse("proxy: %w", err)
	}
	switch {
	case s.server.Path != "":
		return refuse("server: %s has a path; the API stands at the root", c.Server)
	case s.pin != nil && (c.TLS.CA != "" || c.TLS.ServerName != ""):
		return refuse("fingerprint goes without tls.ca and tls.server_name: it alone says whom to believe")
	case !c.Token.Set() && c.TLS.Cert == "":
		return refuse("token: the centre wants to know who sends: set token, or tls.cert and tls.key")
	case s.request < leastRequest || s.request > mostRequest:
		return refuse("request: %s is not between 64KiB and 8MiB", c.Request)
	}
	return s, nil
}

// parseProxy reads the URL of a proxy, which may be empty.
func parseProxy(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Hostname() == "", u.Port() == "", u.Scheme != "http" && u.Scheme != "https":
		return nil, penstock.Errorf(penstock.Invalid, "it is no URL such as http://proxy.example:3128")
	case u.User != nil:
		return nil, penstock.Errorf(penstock.Invalid, "%s has a user or a password: a proxy that asks for them cannot be used", u.Redacted())
	}
	return u, nil
}
