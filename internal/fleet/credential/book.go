package credential

import (
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet/row"
	"github.com/penstock/penstock/internal/fleet/secret"
)

// A Table keeps the credentials, under the keys of [row.Key]. Put and Delete return
// only when the change is durable.
type Table interface {
	Put(key, value []byte) error
	Delete(key []byte) error
}

// Options are what a book needs.
type Options struct {
	Table Table
	Now   func() time.Time  // the gateway's clock
	Rand  io.Reader         // a source of secrets, crypto/rand.Reader
	Limit int               // of credentials, the revoked ones included
	Admit func(Grant) error // registers the controllers of a new credential, before it is made
}

// Book is the credentials of a gateway. It is safe for concurrent use.
type Book struct {
	o Options

	changing sync.Mutex // held through a change and its write, so that mu is not

	mu        sync.RWMutex // guards both maps and revocation
	byID      map[string]*held
	bySubject map[string]*held // of certificates that are not revoked
}

// NewBook returns a book without credentials. Those of the table come by [Load].
func NewBook(o Options) *Book {
	return &Book{o: o, byID: map[string]*held{}, bySubject: map[string]*held{}}
}

// stored is a credential in the table.
type stored struct {
	Label   string         `json:"label"`
	Role    penstock.Role  `json:"role"`
	Scope   penstock.Scope `json:"scope"`
	Subject string         `json:"subject,omitempty"`
	Digest  []byte         `json:"digest,omitempty"` // of a token
	Secret  []byte         `json:"secret,omitempty"` // of a key: both ends need it, so that a digest would not do
	Created int64          `json:"created"`
	Revoked int64          `json:"revoked,omitempty"`
}

// kind tells the kind of a credential by what it holds.
func (s *stored) kind() Kind {
	switch {
	case s.Subject != "":
		return Certificate
	case len(s.Secret) > 0:
		return Key
	}
	return Token
}

// held is one credential of the book. All but lastUsed is written under the
// book's mu or before it is in the book.
type held struct {
	id        string
	stored    stored
	digest    secret.Digest
	principal *penstock.Principal
	lastUsed  atomic.Int64
}

func newHeld(id string, s stored) *held {
	c := &held{id: id, stored: s}
	copy(c.digest[:], s.Digest)
	c.principal = &penstock.Principal{Credential: id, Role: s.Role, Scope: s.Scope}
	return c
}

// public returns what may be told of c. The caller holds the book's mu.
func (c *held) public() Credential {
	return Credential{
		ID: c.id, Label: c.stored.Label, Kind: c.stored.kind(), Role: c.stored.Role, Scope: slices.Clone(c.stored.Scope),
		Subject: c.stored.Subject, Created: c.stored.Created, Revoked: c.stored.Revoked, LastUsed: c.lastUsed.Load(),
	}
}

// Load takes a row of the table into a book that is being opened. Its errors have
// the code [penstock.Corrupt], or [penstock.Unsupported] for a row of a newer version.
func Load(b *Book, key, value []byte) error {
	var s stored
	if err := row.Decode(value, &s); err != nil {
		return err
	}
	c := newHeld(secret.NumberID(row.Number(key)), s)
	switch n := len(s.Secret); {
	case n != 0 && n != secret.Size:
		return penstock.Errorf(penstock.Corrupt, "fleet: credential %s has a secret of %d bytes, want %d", c.id, n, secret.Size)
	case n == 0 && s.Subject == "" && len(s.Digest) != len(c.digest):
		return penstock.Errorf(penstock.Corrupt, "fleet: credential %s has a digest of %d bytes, want %d", c.id, len(s.Digest), len(c.digest))
	}
	b.insert(c)
	return nil
}

func (b *Book) insert(c *held) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.byID[c.id] = c
	if c.stored.Subject != "" && c.stored.Revoked == 0 {
		b.bySubject[c.stored.Subject] = c
	}
}

func (b *Book) find(id string) *held {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.byID[id]
}

// List returns the credentials, the revoked ones too, in the order of their making.
func (b *Book) List() []Credential {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := make([]Credential, 0, len(b.byID))
	for _, c := range b.byID {
		all = append(all, c.public())
	}
	slices.SortFunc(all, func(x, y Credential) int {
		if x.Created != y.Created {
			return int(min(max(x.Created-y.Created, -1), 1))
		}
		return strings.Compare(x.ID, y.ID)
	})
	return all
}

// oldestRevoked returns the credential that was revoked first, nil for none.
func (b *Book) oldestRevoked() *held {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var oldest *held
	for _, c := range b.byID {
		if c.stored.Revoked != 0 && (oldest == nil || c.stored.Revoked < oldest.stored.Revoked) {
			oldest = c
		}
	}
	return oldest
}

func (b *Book) write(id string, s stored) error {
	n, ok := secret.IDNumber(id)
	if !ok {
		return penstock.Errorf(penstock.Internal, "credential id %q is not one of ours", id)
	}
	features := byte(0)
	if len(s.Secret) > 0 {
		features = row.FeatureKey
	}
	value, err := row.Encode(s, features)
	if err != nil {
		return err
	}
	return b.o.Table.Put(row.Key(row.Credential, n), value)
}
