package session

import "github.com/penstock/penstock/internal/source"

// Believe checks the certificate that a server shows.
func Believe(s Settings, env source.Env, chain []byte) error {
	_, err := (&dialer{s, env}).believe(chain)
	return err
}

// Application returns the certificate that is shown to servers, its fingerprint.
func Application(s Settings, env source.Env) (string, error) {
	id, err := (&dialer{s, env}).application()
	if err != nil {
		return "", err
	}
	return fingerprint(id.der), nil
}
