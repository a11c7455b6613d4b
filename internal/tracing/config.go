package tracing

import (
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/remote"
	"github.com/penstock/penstock/internal/tlsfiles"
)

// Config says which envelopes are followed, and who is told.
type Config struct {
	Endpoint  string          `yaml:"endpoint,omitempty" jsonschema_description:"URL of a collector that takes OTLP over HTTP, such as http://127.0.0.1:4318; nothing is followed when left out"`
	Share     float64         `yaml:"share,omitempty" jsonschema_description:"share of all envelopes that are followed, from 0 to 1; those whose sender asks for it by traceparent are followed besides"`
	Most      int             `yaml:"most,omitempty" jsonschema_description:"how many envelopes are followed in a second at most, whoever asks; 100 when left out"`
	Token     config.Secret   `yaml:"token,omitempty" jsonschema_description:"bearer token for the collector, better as file:NAME"`
	TLS       tlsfiles.Client `yaml:"tls,omitempty" jsonschema_description:"certificates for an https endpoint"`
	PlainText bool            `yaml:"plain_text,omitempty" jsonschema_description:"send without TLS to another machine: everybody on the way can read names of controllers and the token"`
}

// defaultMost is how many envelopes are followed in a second unless told otherwise.
const defaultMost = 100

// Validate returns an error of code [penstock.Invalid] when a setting breaks a
// rule.
func (c *Config) Validate() error {
	if c.Share < 0 || c.Share > 1 {
		return penstock.Errorf(penstock.Invalid, "share: %v is not from 0 to 1", c.Share)
	}
	if c.Most < 0 {
		return penstock.Errorf(penstock.Invalid, "most: %d is below 0", c.Most)
	}
	if c.Endpoint == "" {
		if c.Share > 0 {
			return penstock.Errorf(penstock.Invalid, "share: nobody is told without endpoint")
		}
		return nil
	}
	if _, err := c.server(); err != nil {
		return penstock.Errorf(penstock.Invalid, "endpoint: %w", err)
	}
	if err := c.TLS.Validate(); err != nil {
		return penstock.Errorf(penstock.Invalid, "tls.%w", err)
	}
	return nil
}

func (c *Config) server() (remote.Server, error) {
	return remote.Parse(c.Endpoint, map[string]string{"http": "4318", "https": "4318"}, c.PlainText)
}
