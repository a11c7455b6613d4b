package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// renewBefore is how long before its end a certificate should be replaced.
const renewBefore = 30 * 24 * time.Hour

func checkTLS(_ context.Context, x *examination) []finding {
	cert, key := x.TLS.Cert, x.TLS.Key
	own := cert == ""
	if own {
		cert, key = filepath.Join(x.Data, "tls", "cert.pem"), filepath.Join(x.Data, "tls", "key.pem")
	}
	found := x.pair(cert, key, own).one()
	if x.TLS.ClientCA != "" {
		f := finding{name: "client_ca", found: x.TLS.ClientCA + " can be read"}
		text, err := os.ReadFile(x.TLS.ClientCA)
		switch {
		case err != nil:
			f.trouble, f.found, f.fix = broken, err.Error(), "put the file there, or correct tls.client_ca"
		case !x509.NewCertPool().AppendCertsFromPEM(text):
			f.trouble, f.found, f.fix = broken, x.TLS.ClientCA+" holds no certificate", "it must be PEM: openssl x509 -in FILE -noout -subject"
		}
		found = append(found, f)
	}
	return found
}

// pair judges a certificate with its key.
func (x *examination) pair(cert, key string, own bool) finding {
	pair, err := tls.LoadX509KeyPair(cert, key)
	switch {
	case own && errors.Is(err, fs.ErrNotExist):
		return fine("none yet; the first start makes one")
	case errors.Is(err, fs.ErrPermission):
		return finding{trouble: short, found: err.Error(), fix: "run the doctor as root or as the account of the gateway, which must be able to read it: chgrp " + Account + " and mode 0640"}
	case err != nil:
		return finding{trouble: broken, found: err.Error(), fix: "put certificate chain and matching key there as PEM, or correct tls.cert and tls.key"}
	}
	leaf := pair.Leaf
	if leaf == nil {
		return finding{trouble: broken, found: cert + " holds no certificate", fix: "it must be PEM"}
	}
	renew := "replace " + cert + " and " + key + "; the gateway reads them again within a minute"
	if own {
		renew = "delete " + cert + " and restart: the gateway makes a new one, which clients must be given"
	}
	now := x.Now()
	f := fine("%s is valid until %s", cert, leaf.NotAfter.UTC().Format(time.DateOnly))
	switch {
	case now.After(leaf.NotAfter):
		f = finding{trouble: broken, found: fmt.Sprintf("%s has expired on %s", cert, leaf.NotAfter.UTC().Format(time.DateOnly)), fix: renew}
	case now.Before(leaf.NotBefore):
		f = finding{trouble: broken, found: fmt.Sprintf("%s is valid only from %s on", cert, leaf.NotBefore.UTC().Format(time.RFC3339)), fix: "set the clock right, or take the certificate that holds now"}
	case leaf.NotAfter.Sub(now) < renewBefore:
		f.trouble, f.fix = short, renew
	}
	if info, err := os.Stat(key); f.trouble == none && err == nil && info.Mode().Perm()&0o007 != 0 {
		return finding{trouble: broken, found: fmt.Sprintf("%s has mode %04o: everybody on the machine can read it", key, info.Mode().Perm()), fix: "chmod 640 " + key + ", and make a new key: this one may be known"}
	}
	return f
}
