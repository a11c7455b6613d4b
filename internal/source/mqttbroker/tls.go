package mqttbroker

import "crypto/tls"

// listenerTLS returns the node's configuration as a broker's listener needs it:
// without the protocols of HTTP, and down to TLS 1.2 where that is asked for.
func listenerTLS(node *tls.Config, legacy bool) *tls.Config {
	fit := func(c *tls.Config) *tls.Config {
		c = c.Clone()
		c.NextProtos = nil
		if legacy {
			c.MinVersion = tls.VersionTLS12
		}
		return c
	}
	c := fit(node)
	if follow := node.GetConfigForClient; follow != nil {
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			now, err := follow(hello)
			if err != nil || now == nil {
				return nil, err
			}
			return fit(now), nil
		}
	}
	return c
}
