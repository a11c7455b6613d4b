package credential

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet/secret"
)

// copyVersion is that of the form in which credentials go to another node.
const copyVersion = 1

// copied is the credentials as they go to another node: what their secrets are
// verified by, and of keys the secrets themselves, which both ends hold.
type copied struct {
	Version     int     `json:"version"`
	Credentials []entry `json:"credentials"`
}

type entry struct {
	ID string `json:"id"`
	stored
}

// Adopted counts what an import of credentials changed.
type Adopted struct {
	Added, Revoked, Unchanged int
}

// ExportCredentials returns all credentials, the revoked ones too, for the nodes that
// shall know them as well. Tokens cannot be found out from it; keys stand in it.
func (b *Book) ExportCredentials() ([]byte, error) {
	out := copied{Version: copyVersion, Credentials: []entry{}}
	for _, c := range b.List() {
		known := b.find(c.ID)
		if known == nil {
			continue // it has made room for another one
		}
		b.mu.RLock()
		out.Credentials = append(out.Credentials, entry{c.ID, known.stored})
		b.mu.RUnlock()
	}
	return json.Marshal(out)
}

// ImportCredentials takes over what ExportCredentials of another node returned: the
// credentials that are not known, and the end of those that were revoked there.
// What is revoked here stays so. With an error of code [penstock.Invalid]
// or [penstock.Conflict] nothing has changed; with others it can be done again.
func (b *Book) ImportCredentials(text []byte) (Adopted, error) {
	var in copied
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return Adopted{}, penstock.Errorf(penstock.Invalid, "these are no credentials that a gateway exported: %w", err)
	}
	if in.Version != copyVersion {
		return Adopted{}, penstock.Errorf(penstock.Unsupported, "the credentials were exported in version %d of their form, this gateway reads version %d: use the same version of Penstock", in.Version, copyVersion)
	}
	for i := range in.Credentials {
		if err := in.Credentials[i].check(); err != nil {
			return Adopted{}, penstock.Errorf(penstock.CodeOf(err), "credential %d, %.40q: %w", i+1, in.Credentials[i].ID, err)
		}
	}
	return b.adopt(in.Credentials)
}

func (c *entry) grant() Grant {
	return Grant{Label: c.Label, Role: c.Role, Scope: c.Scope, Kind: c.kind(), Subject: c.Subject}
}

// check returns an error for what no gateway could have exported.
func (c *entry) check() error {
	if n, ok := secret.IDNumber(c.ID); !ok || secret.NumberID(n) != c.ID {
		return penstock.Errorf(penstock.Invalid, "the id is not one of Penstock's")
	}
	kinds := 0
	for _, has := range []bool{c.Subject != "", len(c.Digest) == len(secret.Digest{}), len(c.Secret) == secret.Size} {
		if has {
			kinds++
		}
	}
	if kinds != 1 || c.Created <= 0 || c.Revoked < 0 || c.Subject == "" && len(c.Digest)+len(c.Secret) != secret.Size {
		return penstock.Errorf(penstock.Invalid, "it is neither a token nor a key nor a certificate")
	}
	return c.grant().check()
}

// adopt takes over credentials that were checked.
func (b *Book) adopt(copies []entry) (done Adopted, err error) {
	b.changing.Lock()
	defer b.changing.Unlock()
	ended, fresh, err := b.compare(copies)
	if err != nil {
		return done, err
	}
	for _, c := range fresh {
		if c.Revoked == 0 {
			err = b.o.Admit(c.grant())
		}
		if err == nil {
			err = b.write(c.ID, c.stored)
		}
		if err != nil {
			return done, err
		}
		b.insert(newHeld(c.ID, c.stored))
		done.Added++
	}
	for _, c := range ended {
		if err := b.end(c.ID, c.Revoked); err != nil {
			return done, err
		}
		done.Revoked++
	}
	done.Unchanged = len(copies) - done.Added - done.Revoked
	return done, nil
}

// claim notes the subject of a valid copy, which no other credential may have.
func (b *Book) claim(c entry, subjects map[string]string) error {
	if taken := b.bySubject[c.Subject]; taken != nil && taken.id != c.ID {
		return penstock.Errorf(penstock.Conflict, "subject %q has credential %s here and %s there: revoke one of the two", c.Subject, taken.id, c.ID)
	}
	if other := subjects[c.Subject]; other != "" {
		return penstock.Errorf(penstock.Invalid, "subject %q has the credentials %s and %s", c.Subject, other, c.ID)
	}
	subjects[c.Subject] = c.ID
	return nil
}

// like tells whether a copy is of that credential.
func (c *entry) like(r *stored) bool {
	return bytes.Equal(r.Digest, c.Digest) && bytes.Equal(r.Secret, c.Secret) && r.Subject == c.Subject && r.Role == c.Role && slices.Equal(r.Scope, c.Scope)
}

// compare returns which copies are revoked and not so here, and which are not known.
func (b *Book) compare(copies []entry) (ended, fresh []entry, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	ids, subjects := map[string]bool{}, map[string]string{}
	for _, c := range copies {
		if ids[c.ID] {
			return nil, nil, penstock.Errorf(penstock.Invalid, "credential %s stands there twice", c.ID)
		}
		ids[c.ID] = true
		known := b.byID[c.ID]
		switch {
		case known != nil && !c.like(&known.stored):
			return nil, nil, penstock.Errorf(penstock.Conflict, "credential %s is another one here: one of the two nodes was tampered with", c.ID)
		case known != nil && known.stored.Revoked == 0 && c.Revoked != 0:
			ended = append(ended, c)
		case known == nil:
			fresh = append(fresh, c)
		}
		if c.Subject == "" || c.Revoked != 0 {
			continue
		}
		if err := b.claim(c, subjects); err != nil {
			return nil, nil, err
		}
	}
	if n := len(b.byID) + len(fresh); n > b.o.Limit {
		return nil, nil, penstock.Errorf(penstock.TooLarge, "there would be %d credentials, more than the limit of %d", n, b.o.Limit)
	}
	return ended, fresh, nil
}
