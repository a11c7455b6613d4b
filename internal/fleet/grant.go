package fleet

import (
	"slices"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet/row"
	"github.com/penstock/penstock/internal/fleet/secret"
)

// Add makes a credential and returns its secret, which is shown this once: a
// token, of which a digest is kept; a key in the form of [secret.FormatKey], which is
// kept, since both ends work with it; nothing for a certificate. It is durable
// when Add returns. A controller that a grant of role controller names in full becomes
// registered: who is given a token is known.
func (f *Fleet) Add(g Grant) (secret string, c Credential, err error) {
	if err := g.check(); err != nil {
		return "", Credential{}, err
	}
	if err := f.admitNamed(g); err != nil {
		return "", Credential{}, err
	}
	return f.credentials.add(g, nil)
}

// admitNamed registers the controllers that a controller's grant names in full.
func (f *Fleet) admitNamed(g Grant) error {
	if g.Role != penstock.RoleController {
		return nil
	}
	for _, name := range g.Scope {
		if strings.Contains(name, "*") {
			continue
		}
		if err := f.Admit(name); err != nil {
			return err
		}
	}
	return nil
}

// Revoke ends a credential: no later request is authenticated by it. It takes
// effect before it is durable; an error of the table says that it must be done
// again, because a restart would bring the credential back.
func (f *Fleet) Revoke(id string) error { return f.credentials.revoke(id) }

// List returns the credentials, the revoked ones too, in the order of their
// making.
func (f *Fleet) List() []Credential { return f.credentials.list() }

// EnsureAdmin makes a first credential of role admin and scope all when there is
// none that is valid, and returns its token; otherwise the token is empty. keep, which
// may be nil, gets the token before the credential is written: a crash between the
// two leaves a token that opens nothing, and the next start makes another, where the
// other order would leave a credential that nobody has.
func (f *Fleet) EnsureAdmin(keep func(token string) error) (token string, err error) {
	for _, c := range f.List() {
		if c.Role == penstock.RoleAdmin && c.Revoked == 0 {
			return "", nil
		}
	}
	g := Grant{Label: "first administrator", Role: penstock.RoleAdmin, Scope: penstock.Scope{"*"}}
	if err := g.check(); err != nil {
		return "", err
	}
	token, _, err = f.credentials.add(g, keep)
	return token, err
}

// add makes a credential; keep, unless it is nil, gets its secret before it is there.
func (b *book) add(g Grant, keep func(shown string) error) (shown string, c Credential, err error) {
	b.changing.Lock()
	defer b.changing.Unlock()
	if err := b.makeRoom(g.Subject); err != nil {
		return "", Credential{}, err
	}
	drawn, err := secret.Draw(b.random)
	if err != nil {
		return "", Credential{}, err
	}
	id := drawn.PublicID()
	if b.find(id) != nil {
		return "", Credential{}, penstock.Errorf(penstock.Internal, "credential %s exists already: the source of random numbers is broken", id)
	}
	record := credentialRecord{
		Label: g.Label, Role: g.Role, Scope: slices.Clone(g.Scope), Subject: g.Subject,
		Created: b.now().UnixNano(),
	}
	switch {
	case g.Subject != "": // the authorities of the certificate keep the secret
	case g.Kind == KeyCredential:
		shown, record.Secret = secret.FormatKey(drawn.Number(), drawn.Secret()), drawn.Secret()
	default:
		shown = drawn.Token()
		d := secret.DigestOf(shown)
		record.Digest = d[:]
	}
	if keep != nil {
		if err := keep(shown); err != nil {
			return "", Credential{}, err
		}
	}
	if err := b.write(id, record); err != nil {
		return "", Credential{}, err
	}
	made := newCredential(id, record)
	told := made.public() // while nobody else knows it
	b.insert(made)
	return shown, told, nil
}

func (b *book) revoke(id string) error {
	b.changing.Lock()
	defer b.changing.Unlock()
	return b.end(id, b.now().UnixNano())
}

// end revokes a credential as from the time. b.changing is held.
func (b *book) end(id string, at int64) error {
	c := b.find(id)
	if c == nil {
		return penstock.Errorf(penstock.NotFound, "there is no credential %q: list them to see their ids", id)
	}
	b.mu.Lock()
	if c.record.Revoked == 0 {
		c.record.Revoked = at
	}
	if b.bySubject[c.record.Subject] == c {
		delete(b.bySubject, c.record.Subject)
	}
	record := c.record
	b.mu.Unlock()
	if err := b.write(id, record); err != nil {
		return penstock.Errorf(penstock.CodeOf(err), "credential %s is revoked until the gateway restarts, but that could not be written; revoke it again: %w", id, err)
	}
	return nil
}

func (b *book) find(id string) *credential {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.byID[id]
}

// makeRoom refuses a second valid credential for a subject, and forgets the
// credential revoked longest ago when the limit is reached.
func (b *book) makeRoom(subject string) error {
	b.mu.RLock()
	count, taken := len(b.byID), b.bySubject[subject]
	b.mu.RUnlock()
	if taken != nil {
		return penstock.Errorf(penstock.Conflict, "subject %q has credential %s already: revoke that first", subject, taken.id)
	}
	if count < b.limit {
		return nil
	}
	oldest := b.oldestRevoked()
	if oldest == nil {
		return penstock.Errorf(penstock.TooLarge, "there are %d credentials, which is the limit: revoke one first", count)
	}
	n, _ := secret.IDNumber(oldest.id)
	if err := b.table.Delete(row.Key(row.Credential, n)); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.byID, oldest.id)
	return nil
}

func (b *book) write(id string, record credentialRecord) error {
	n, ok := secret.IDNumber(id)
	if !ok {
		return penstock.Errorf(penstock.Internal, "credential id %q is not one of ours", id)
	}
	features := byte(0)
	if len(record.Secret) > 0 {
		features = row.FeatureKey
	}
	value, err := row.Encode(record, features)
	if err != nil {
		return err
	}
	return b.table.Put(row.Key(row.Credential, n), value)
}
