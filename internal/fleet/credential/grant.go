package credential

import (
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet/row"
	"github.com/penstock/penstock/internal/fleet/secret"
)

// Add makes a credential and returns its secret, which is shown this once: a
// token, of which a digest is kept; a key in the form of [secret.FormatKey], which is
// kept, since both ends work with it; nothing for a certificate. It is durable
// when Add returns.
func (b *Book) Add(g Grant) (shown string, c Credential, err error) {
	if err := g.check(); err != nil {
		return "", Credential{}, err
	}
	if err := b.o.Admit(g); err != nil {
		return "", Credential{}, err
	}
	return b.add(g, nil)
}

// add makes a credential; keep, unless it is nil, gets its secret before it is there.
func (b *Book) add(g Grant, keep func(shown string) error) (shown string, c Credential, err error) {
	b.changing.Lock()
	defer b.changing.Unlock()
	if err := b.makeRoom(g.Subject); err != nil {
		return "", Credential{}, err
	}
	drawn, err := secret.Draw(b.o.Rand)
	if err != nil {
		return "", Credential{}, err
	}
	id := drawn.PublicID()
	if b.find(id) != nil {
		return "", Credential{}, penstock.Errorf(penstock.Internal, "credential %s exists already: the source of random numbers is broken", id)
	}
	s := stored{
		Label: g.Label, Role: g.Role, Scope: slices.Clone(g.Scope), Subject: g.Subject,
		Created: b.o.Now().UnixNano(),
	}
	switch {
	case g.Subject != "": // the authorities of the certificate keep the secret
	case g.Kind == Key:
		shown, s.Secret = secret.FormatKey(drawn.Number(), drawn.Secret()), drawn.Secret()
	default:
		shown = drawn.Token()
		d := secret.DigestOf(shown)
		s.Digest = d[:]
	}
	if keep != nil {
		if err := keep(shown); err != nil {
			return "", Credential{}, err
		}
	}
	if err := b.write(id, s); err != nil {
		return "", Credential{}, err
	}
	made := newHeld(id, s)
	told := made.public() // while nobody else knows it
	b.insert(made)
	return shown, told, nil
}

// EnsureAdmin makes a first credential of role admin and scope all when there is
// none that is valid, and returns its token; otherwise the token is empty. keep, which
// may be nil, gets the token before the credential is written: a crash between the
// two leaves a token that opens nothing, and the next start makes another, where the
// other order would leave a credential that nobody has.
func (b *Book) EnsureAdmin(keep func(token string) error) (token string, err error) {
	for _, c := range b.List() {
		if c.Role == penstock.RoleAdmin && c.Revoked == 0 {
			return "", nil
		}
	}
	token, _, err = b.add(Grant{Label: "first administrator", Role: penstock.RoleAdmin, Scope: penstock.Scope{"*"}}, keep)
	return token, err
}

// Revoke ends a credential: no later request is authenticated by it. It takes
// effect before it is durable; an error of the table says that it must be done
// again, because a restart would bring the credential back.
func (b *Book) Revoke(id string) error {
	b.changing.Lock()
	defer b.changing.Unlock()
	return b.end(id, b.o.Now().UnixNano())
}

// end revokes a credential as from the time. b.changing is held.
func (b *Book) end(id string, at int64) error {
	c := b.find(id)
	if c == nil {
		return penstock.Errorf(penstock.NotFound, "there is no credential %q: list them to see their ids", id)
	}
	b.mu.Lock()
	if c.stored.Revoked == 0 {
		c.stored.Revoked = at
	}
	if b.bySubject[c.stored.Subject] == c {
		delete(b.bySubject, c.stored.Subject)
	}
	s := c.stored
	b.mu.Unlock()
	if err := b.write(id, s); err != nil {
		return penstock.Errorf(penstock.CodeOf(err), "credential %s is revoked until the gateway restarts, but that could not be written; revoke it again: %w", id, err)
	}
	return nil
}

// makeRoom refuses a second valid credential for a subject, and forgets the
// credential revoked longest ago when the limit is reached.
func (b *Book) makeRoom(subject string) error {
	b.mu.RLock()
	count, taken := len(b.byID), b.bySubject[subject]
	b.mu.RUnlock()
	if taken != nil {
		return penstock.Errorf(penstock.Conflict, "subject %q has credential %s already: revoke that first", subject, taken.id)
	}
	if count < b.o.Limit {
		return nil
	}
	oldest := b.oldestRevoked()
	if oldest == nil {
		return penstock.Errorf(penstock.TooLarge, "there are %d credentials, which is the limit: revoke one first", count)
	}
	n, _ := secret.IDNumber(oldest.id)
	if err := b.o.Table.Delete(row.Key(row.Credential, n)); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.byID, oldest.id)
	return nil
}
