package fleet

import (
	"encoding/hex"
	"fmt"

	"github.com/penstock/penstock"
)

// FormatKey returns a key as people carry it to a controller: the number of its
// id and its secret in hexadecimal, 16 and 64 digits with a colon between. A
// microcontroller takes both as they stand.
func FormatKey(id uint64, secret []byte) string {
	return fmt.Sprintf("%016x:%s", id, hex.EncodeToString(secret))
}

// Key returns the secret of the key with that number and who holds it, or an
// error of code [penstock.Unauthenticated] when there is none or it was revoked.
// Whoever calls must still see that the other end knows the secret. Neither the
// secret nor the principal may be changed.
func (f *Fleet) Key(id uint64) (secret []byte, p *penstock.Principal, err error) {
	return f.credentials.key(numberID(id))
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
