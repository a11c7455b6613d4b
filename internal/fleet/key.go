package fleet

import (
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet/secret"
)

// Key returns the secret of the key with that number and who holds it, or an
// error of code [penstock.Unauthenticated] when there is none or it was revoked.
// Whoever calls must still see that the other end knows the secret. Neither the
// secret nor the principal may be changed.
func (f *Fleet) Key(id uint64) (shared []byte, p *penstock.Principal, err error) {
	return f.credentials.key(secret.NumberID(id))
}

func (b *book) key(id string) ([]byte, *penstock.Principal, error) {
	b.mu.RLock()
	known := b.byID[id]
	valid := known != nil && known.record.Revoked == 0 && known.record.kind() == KeyCredential
	b.mu.RUnlock()
	if !valid {
		return nil, nil, penstock.Errorf(penstock.Unauthenticated, "there is no key %s, or it was revoked", id)
	}
	known.lastUsed.Store(b.now().UnixNano())
	return known.record.Secret, known.principal, nil
}
