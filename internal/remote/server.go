package remote

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/tlsfiles"
)

// dialTimeout bounds the connection and the handshake together.
const dialTimeout = 10 * time.Second

// Server is where something connects to.
type Server struct {
	Address string // host:port
	Path    string // behind the address, without the slash before it
	Secure  bool   // with TLS
}

// Parse reads the URL of a server. The ports are those of the schemes, for
// a URL without one; a scheme that ends in s is with TLS. Without TLS only
// servers on this machine are taken, unless plain says otherwise: passwords and
// values would go over the network for everybody to read and change. Errors
// have code [penstock.Invalid].
func Parse(text string, ports map[string]string, plain bool) (Server, error) {
	refuse := func(format string, args ...any) (Server, error) {
		return Server{}, penstock.Errorf(penstock.Invalid, format, args...)
	}
	u, err := url.Parse(text)
	if err != nil {
		return refuse("it is no URL")
	}
	port, known := ports[u.Scheme]
	switch {
	case !known:
		return refuse("%q is no URL of such a server: write SCHEME://host:port", u.Redacted())
	case u.User != nil:
		return refuse("the URL has a user or a password: user and password are keys of their own")
	case u.Hostname() == "":
		return refuse("%q names no host", text)
	case u.RawQuery != "" || u.Fragment != "":
		return refuse("%q has a query or a fragment, which mean nothing here", text)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	s := Server{
		Address: net.JoinHostPort(u.Hostname(), port),
		Path:    strings.TrimPrefix(u.Path, "/"),
		Secure:  strings.HasSuffix(u.Scheme, "s"),
	}
	if !s.Secure && !plain && !isLoopback(u.Hostname()) {
		return refuse("%s is without TLS and not on this machine: use %ss, or set plain_text: true", text, u.Scheme)
	}
	return s, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Dial connects to the server. The files of the TLS settings are read anew. Errors
// have code [penstock.Unavailable], or [penstock.Invalid] for a file.
func (s Server) Dial(ctx context.Context, settings tlsfiles.Client) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var conn net.Conn
	var err error
	if s.Secure {
		var config *tls.Config
		if config, err = settings.Config(); err != nil {
			return nil, err
		}
		conn, err = (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", s.Address)
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", s.Address)
	}
	if err != nil {
		return nil, penstock.Errorf(penstock.Unavailable, "connect to %s: %w", s.Address, err)
	}
	return conn, nil
}
