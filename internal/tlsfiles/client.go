package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	"github.com/penstock/penstock"
)

// Client is the configuration of TLS towards a server: whom to believe, and what
// to show.
type Client struct {
	CA         string `yaml:"ca,omitempty" jsonschema_description:"file with the authorities that sign the server's certificate (PEM); those of the machine when left out"`
	Cert       string `yaml:"cert,omitempty" jsonschema_description:"file with the certificate to show (PEM), with its chain"`
	Key        string `yaml:"key,omitempty" jsonschema_description:"file with the private key of cert (PEM)"`
	ServerName string `yaml:"server_name,omitempty" jsonschema_description:"name in the server's certificate where it is not the host of the address"`
	MinVersion string `yaml:"min_version,omitempty" jsonschema_description:"1.3 (the default), or 1.2 for old equipment"`
}

// Validate returns an error of code [penstock.Invalid] when a setting breaks a
// rule.
func (c *Client) Validate() error {
	if (c.Cert == "") != (c.Key == "") {
		return penstock.Errorf(penstock.Invalid, "cert and key go together; only one of them is set")
	}
	if c.MinVersion != "" && c.MinVersion != "1.2" && c.MinVersion != "1.3" {
		return penstock.Errorf(penstock.Invalid, "min_version: %q is neither 1.3 nor 1.2", c.MinVersion)
	}
	return nil
}

// Config reads the files, which is done for every connection, so that renewed ones
// count. Its errors have code [penstock.Invalid] and name the
// file.
func (c *Client) Config() (*tls.Config, error) {
	config := &tls.Config{ServerName: c.ServerName, MinVersion: tls.VersionTLS13}
	if c.MinVersion == "1.2" {
		config.MinVersion = tls.VersionTLS12
	}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, penstock.Errorf(penstock.Invalid, "tls.ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, penstock.Errorf(penstock.Invalid, "tls.ca: %s holds no certificate in PEM", c.CA)
		}
	}
	if c.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, penstock.Errorf(penstock.Invalid, "tls.cert, tls.key: %s and %s: %w", c.Cert, c.Key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
