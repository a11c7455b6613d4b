package credential

import (
	"crypto/subtle"
	"crypto/x509"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet/secret"
)

// How the name of a certificate begins.
const (
	uriSubject = "uri:"
	cnSubject  = "cn:"
)

// Authenticate returns who shows the credential, or an error of code
// [penstock.Unauthenticated]. A token decides where there is one: a wrong token
// beside a good certificate is refused. The user name is not looked at, since the
// token names its credential. The principal is shared: it must not be changed.
func (b *Book) Authenticate(c penstock.Credential) (*penstock.Principal, error) {
	switch {
	case c.Token != "":
		return b.byToken(c.Token)
	case len(c.Certificates) > 0:
		return b.byCertificate(c.Certificates[0])
	}
	return nil, penstock.Errorf(penstock.Unauthenticated, "no credential was shown: send a token, or connect with a client certificate")
}

// byToken takes the same time for an id that is not known as for a wrong secret.
func (b *Book) byToken(token string) (*penstock.Principal, error) {
	id, ok := secret.IDOf(token)
	if !ok {
		return nil, penstock.Errorf(penstock.Unauthenticated, "the token is not one of Penstock's: those begin with %q and have %d characters", secret.TokenPrefix, secret.TokenLength)
	}
	shown := secret.DigestOf(token)
	var want secret.Digest
	b.mu.RLock()
	known := b.byID[id]
	valid := known != nil && known.stored.Revoked == 0 && known.stored.kind() == Token
	b.mu.RUnlock()
	if valid {
		want = known.digest
	}
	if subtle.ConstantTimeCompare(shown[:], want[:]) != 1 || !valid {
		return nil, penstock.Errorf(penstock.Unauthenticated, "the token is not known, or was revoked")
	}
	known.lastUsed.Store(b.o.Now().UnixNano())
	return known.principal, nil
}

// byCertificate looks at the end of validity once more, because a connection may
// outlive it.
func (b *Book) byCertificate(leaf *x509.Certificate) (*penstock.Principal, error) {
	subject, err := Subject(leaf)
	if err != nil {
		return nil, err
	}
	now := b.o.Now()
	if now.After(leaf.NotAfter) {
		return nil, penstock.Errorf(penstock.Unauthenticated, "the certificate of %q ended on %s: renew it", subject, leaf.NotAfter.UTC().Format("2006-01-02"))
	}
	b.mu.RLock()
	known := b.bySubject[subject]
	b.mu.RUnlock()
	if known == nil {
		return nil, penstock.Errorf(penstock.Unauthenticated, "the certificate of %q has no credential here, or it was revoked", subject)
	}
	known.lastUsed.Store(now.UnixNano())
	return known.principal, nil
}

// Subject returns the name by which a client certificate is known here: "uri:"
// and its URI when it has URI names, of which it may have one only; otherwise
// "cn:" and its common name. A certificate with a URI is never known by its
// common name, so that neither can pass for the other.
func Subject(leaf *x509.Certificate) (string, error) {
	switch len(leaf.URIs) {
	case 0:
		if leaf.Subject.CommonName == "" {
			return "", penstock.Errorf(penstock.Unauthenticated, "the certificate has neither a URI nor a common name")
		}
		return cnSubject + leaf.Subject.CommonName, nil
	case 1:
		return uriSubject + leaf.URIs[0].String(), nil
	}
	return "", penstock.Errorf(penstock.Unauthenticated, "the certificate has %d URIs: one only can say whose it is", len(leaf.URIs))
}

// Key returns the secret of the key with that number and who holds it, or an
// error of code [penstock.Unauthenticated] when there is none or it was revoked.
// Whoever calls must still see that the other end knows the secret. Neither the
// secret nor the principal may be changed.
func (b *Book) Key(number uint64) (shared []byte, p *penstock.Principal, err error) {
	id := secret.NumberID(number)
	b.mu.RLock()
	known := b.byID[id]
	valid := known != nil && known.stored.Revoked == 0 && known.stored.kind() == Key
	b.mu.RUnlock()
	if !valid {
		return nil, nil, penstock.Errorf(penstock.Unauthenticated, "there is no key %s, or it was revoked", id)
	}
	known.lastUsed.Store(b.o.Now().UnixNano())
	return known.stored.Secret, known.principal, nil
}
