package shell

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/apiclient"
	"github.com/penstock/penstock/internal/cli/manual"
)

// The variables of the environment that say how a gateway is reached.
const (
	EnvURL       = "PENSTOCK_URL"
	EnvToken     = "PENSTOCK_TOKEN"
	EnvTokenFile = "PENSTOCK_TOKEN_FILE"
	EnvCA        = "PENSTOCK_CA"
	EnvData      = "PENSTOCK_DATA"
	EnvConfig    = "PENSTOCK_CONFIG"
)

// ReservedVariables are no keys of the configuration.
var ReservedVariables = []string{EnvURL, EnvToken, EnvTokenFile, EnvCA, EnvConfig, "PENSTOCK_PLANT"}

// DefaultData is the data directory of a gateway that was started without one.
const DefaultData = "penstock-data"

// Remote holds the flags that say how a gateway is reached.
type Remote struct {
	url, token, tokenFile, ca, data string
}

// Register adds the flags.
func (r *Remote) Register(flags *pflag.FlagSet) {
	flags.StringVar(&r.url, "url", "", "`URL` of the gateway (default: the address in the data directory; $"+EnvURL+")")
	flags.StringVar(&r.token, "token", "", "access `TOKEN`; others on this machine can see it, --token-file hides it ($"+EnvToken+")")
	flags.StringVar(&r.tokenFile, "token-file", "", "`FILE` that holds the token (default: DIR/admin.token; $"+EnvTokenFile+")")
	flags.StringVar(&r.ca, "ca", "", "PEM `FILE` of the certificate to trust (default: DIR/tls/cert.pem; $"+EnvCA+")")
	flags.StringVar(&r.data, "data", "", "data `DIR` of a gateway on this machine (default: "+DefaultData+"; $"+EnvData+")")
	manual.InGroup(flags, "Connection", "url", "token", "token-file", "ca", "data")
}

// Client returns a client of the gateway. Flags go before variables, and those
// before what stands in the data directory.
func (r *Remote) Client(env Env) (*apiclient.Client, error) {
	data := First(r.data, env.Getenv(EnvData), DefaultData)
	options := apiclient.Options{UserAgent: "penstock/" + env.Version}
	var err error
	if options.URL = First(r.url, env.Getenv(EnvURL)); options.URL == "" {
		if options.URL, err = localURL(data); err != nil {
			return nil, err
		}
	}
	if options.Token, err = r.findToken(env, data); err != nil {
		return nil, err
	}
	if options.CA, err = named(First(r.ca, env.Getenv(EnvCA)), filepath.Join(data, "tls", "cert.pem")); err != nil {
		return nil, err
	}
	client, err := apiclient.New(options)
	if err != nil {
		return nil, Exit(ExitUsage, err)
	}
	return client, nil
}

func (r *Remote) findToken(env Env, data string) (string, error) {
	if r.token != "" && r.tokenFile != "" {
		return "", Usagef("--token and --token-file exclude each other: give one")
	}
	if r.token == "" && r.tokenFile == "" {
		r.token, r.tokenFile = env.Getenv(EnvToken), env.Getenv(EnvTokenFile)
	}
	if r.token != "" {
		return r.token, nil
	}
	text, err := named(r.tokenFile, filepath.Join(data, "admin.token"))
	return strings.TrimSpace(string(text)), err
}

// named reads the file at path, which must exist, or without one the file at
// standard, which need not. A file that may not be read is an error all the same:
// going on without it would only give a message that misleads.
func named(path, standard string) ([]byte, error) {
	if path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, Usagef("%w", err)
		}
		return text, nil
	}
	text, err := os.ReadFile(standard)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, penstock.Errorf(penstock.Forbidden, "%w: run the command as the gateway's user, or give --url, --token-file and --ca", err)
	}
	return text, nil
}

// localURL returns the URL of the gateway that runs on the data directory.
func localURL(data string) (string, error) {
	path := filepath.Join(data, "run", "addresses.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return "", Exit(ExitUnreachable, penstock.Errorf(penstock.Unavailable,
			"no gateway runs on %s (%w). Start one with 'penstock serve', or say where it is with --url or --data", data, err))
	}
	var addresses map[string]string
	if err := json.Unmarshal(text, &addresses); err != nil {
		return "", penstock.Errorf(penstock.Corrupt, "%s cannot be read: %w", path, err)
	}
	host, port, err := net.SplitHostPort(addresses["listen.https"])
	if err != nil {
		return "", Exit(ExitUnreachable, penstock.Errorf(penstock.Unavailable,
			"%s names no address for listen.https: the gateway's API is off, or it is about to start", path))
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "https://" + net.JoinHostPort(host, port), nil
}

// Never returns a time as tables show it, "never" for none.
func Never(time string) string { return First(time, "never") }

// First returns the first text that is not empty.
func First(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
