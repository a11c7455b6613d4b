package settings

import (
	"strings"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/allow"
	"github.com/penstock/penstock/internal/config"
)

// Listen says where the node listens.
type Listen struct {
	HTTPS   config.Address   `yaml:"https" jsonschema_description:"HTTPS API, TLS 1.3 only"`
	Health  config.Address   `yaml:"health" jsonschema_description:"health over HTTP/1.1 and gRPC, and metrics; plain text, so keep it on loopback"`
	MQTT    config.Address   `yaml:"mqtt" jsonschema_description:"MQTT broker for controllers that speak MQTT 3.1.1 or 5; 8883 is the usual port, 1883 without TLS"`
	Link    config.Address   `yaml:"link" jsonschema_description:"link protocol over TLS, for controllers that keep a connection; 5427 is a fair choice"`
	LinkUDP config.Address   `yaml:"link_udp" jsonschema_description:"link protocol in sealed datagrams, for loggers on cellular networks; 5427 is a fair choice"`
	Proxy   allow.List       `yaml:"proxy,omitempty" jsonschema_description:"networks of load balancers, such as 10.0.0.5: their TCP connections must begin with a PROXY header of version 2 (send-proxy-v2), and count as those of the client that it names; connections to listen.health have none"`
	Drain   *config.Duration `yaml:"drain,omitempty" jsonschema_description:"how long a gateway that is told to stop goes on as before after it has said that it is not ready, so that load balancers notice first, at most 1m; 3s with proxy when left out, and else 0"`
	Allow   allow.List       `yaml:"allow,omitempty" jsonschema_description:"networks that may connect to the listeners and those of the sources, such as 10.0.0.0/8 or one address; this machine always may; everybody when left out"`
}

// The time between the word that a gateway is not ready and its end.
const (
	usualDrain = 3 * time.Second // with load balancers
	maxDrain   = time.Minute
)

// Draining returns how long a gateway that is told to stop goes on as before.
func (l *Listen) Draining() time.Duration {
	if l.Drain == nil && len(l.Proxy) > 0 {
		return usualDrain
	}
	if l.Drain == nil {
		return 0
	}
	return l.Drain.Std()
}

// check returns an error for each TCP address that another listener has, and for what
// a load balancer could not work with.
func (l *Listen) check() (problems []error) {
	has := map[config.Address]string{}
	for _, at := range []struct {
		key     string
		address config.Address
	}{{"https", l.HTTPS}, {"health", l.Health}, {"mqtt", l.MQTT}, {"link", l.Link}} {
		if at.address.Off() || strings.HasSuffix(string(at.address), ":0") {
			continue
		}
		if other := has[at.address]; other != "" {
			problems = append(problems, penstock.Errorf(penstock.Invalid, "listen.%s: %s is the address of listen.%s too: each needs its own", at.key, at.address, other))
		}
		has[at.address] = at.key
	}
	if d := l.Draining(); d < 0 || d > maxDrain {
		problems = append(problems, penstock.Errorf(penstock.Invalid, "listen.drain: %s is outside 0s to %s", d, maxDrain))
	}
	for _, balancer := range l.Proxy {
		if n, err := allow.Network(balancer); err == nil && !l.Allow.Covers(n) {
			problems = append(problems, penstock.Errorf(penstock.Invalid, "listen.proxy: %s is not in listen.allow, so that its health checks would be refused: name it there too", balancer))
		}
	}
	return problems
}
