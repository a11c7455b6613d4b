package cli

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/cli/shell"
)

// Facts are what a person needs to know about a gateway that has started.
type Facts struct {
	Addresses   []Listener // in the order in which they are to be shown
	Data        string     // data directory
	Certificate string     // file of the certificate that the API shows
	Fingerprint string     // SHA-256 of the certificate, in hexadecimal
	TokenFile   string     // file of the admin token, empty when there is none
	PID         int
}

// Listener is an address that the gateway really bound.
type Listener struct {
	Key     string // of the configuration, such as "listen.https"
	Address string // host:port
}

// banner tells how to stop the gateway, where it is and what to try first. The
// commands can be pasted as they are.
func (f Facts) banner(env shell.Env) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Penstock %s runs. Stop it with Ctrl-C or: kill %d\n\n", env.Version, f.PID)
	width := 15
	for _, l := range f.Addresses {
		width = max(width, len(l.Key))
	}
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "  %-*s %s\n", width, name, value)
		}
	}
	api := ""
	for _, l := range f.Addresses {
		shown := l.Address
		switch l.Key {
		case "listen.https":
			api = "https://" + reachable(l.Address)
			shown = api
		case "listen.health":
			shown = "http://" + reachable(l.Address) + "/readyz"
		}
		line(l.Key, shown)
	}
	line("data", f.Data)
	line("certificate", f.Certificate)
	line("fingerprint", f.Fingerprint)
	line("admin token", f.TokenFile)
	if api == "" || f.TokenFile == "" {
		return b.String()
	}
	data := ""
	if f.Data != shell.First(env.Getenv(shell.EnvData), shell.DefaultData) {
		data = " --data " + quote(f.Data)
	}
	fmt.Fprintf(&b, `
Send a report, and see it come back:

  curl -sS --cacert %s -H "Authorization: Bearer $(cat %s)" \
    -H 'Content-Type: application/json' %s/v1/reports \
    -d '{"controller":"pump-17","epoch":1,"seq":1,"samples":[{"point":"flow","time":"%s","value":12.5,"unit":"L/s"}]}'
  penstock query pump-17%s
  penstock tail%s
`, quote(f.Certificate), quote(f.TokenFile), api, env.Now().UTC().Format(time.RFC3339), data, data)
	return b.String()
}

// reachable returns the address with a host that a command can connect to.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// quote makes a path safe to paste into a shell.
func quote(path string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%", r)
	}
	if path != "" && strings.IndexFunc(path, func(r rune) bool { return !safe(r) }) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
