package fleet

import (
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet/name"
	"github.com/penstock/penstock/internal/fleet/row"
	"github.com/penstock/penstock/internal/fleet/secret"
)

// CredentialKind says how a credential is shown.
type CredentialKind string

// The kinds of credential.
const (
	TokenCredential       CredentialKind = "token"
	CertificateCredential CredentialKind = "certificate"
	// KeyCredential is a secret that both ends hold and that never travels: it
	// seals what a controller sends where there is no TLS.
	KeyCredential CredentialKind = "key"
)

// Limits of a credential.
const (
	maxLabel = 128 // bytes
	maxScope = 256 // patterns
)

// Grant is what a new credential shall allow.
type Grant struct {
	Label   string         // for people: whose it is, 1 to 128 bytes
	Role    penstock.Role  // what it may do beyond sending
	Scope   penstock.Scope // which controllers it may speak for or read, 1 to 256 patterns
	Kind    CredentialKind // empty for a certificate where there is a Subject, else for a token
	Subject string         // of a client certificate, see [Subject]; empty for the other kinds
}

// Credential is what the fleet tells of a credential: never the secret.
// Times are nanoseconds since 1970 UTC, 0 for never.
type Credential struct {
	ID       string // public, in logs and in the token
	Label    string
	Kind     CredentialKind
	Role     penstock.Role
	Scope    penstock.Scope
	Subject  string // of a certificate
	Created  int64
	Revoked  int64
	LastUsed int64 // since the gateway started
}

// credentialRecord is a credential in the table.
type credentialRecord struct {
	Label   string         `json:"label"`
	Role    penstock.Role  `json:"role"`
	Scope   penstock.Scope `json:"scope"`
	Subject string         `json:"subject,omitempty"`
	Digest  []byte         `json:"digest,omitempty"` // of a token
	Secret  []byte         `json:"secret,omitempty"` // of a key: both ends need it, so that a digest would not do
	Created int64          `json:"created"`
	Revoked int64          `json:"revoked,omitempty"`
}

// credential is one entry of the book. All but lastUsed is written under the
// book's mu or before the entry is in the book.
type credential struct {
	id        string
	record    credentialRecord
	digest    secret.Digest
	principal *penstock.Principal
	lastUsed  atomic.Int64
}

// book holds the credentials.
type book struct {
	table  Table
	now    func() time.Time
	random io.Reader
	limit  int

	changing sync.Mutex // held through a change and its write, so that mu is not

	mu        sync.RWMutex // guards both maps and revocation
	byID      map[string]*credential
	bySubject map[string]*credential // of certificates that are not revoked
}

func newBook(table Table, o Options, limit int) *book {
	return &book{
		table: table, now: o.Now, random: o.Rand, limit: limit,
		byID: map[string]*credential{}, bySubject: map[string]*credential{},
	}
}

func (b *book) load(key, value []byte) error {
	var record credentialRecord
	if err := row.Decode(value, &record); err != nil {
		return err
	}
	c := newCredential(secret.NumberID(row.Number(key)), record)
	switch n := len(record.Secret); {
	case n != 0 && n != secret.Size:
		return penstock.Errorf(penstock.Corrupt, "fleet: credential %s has a secret of %d bytes, want %d", c.id, n, secret.Size)
	case n == 0 && record.Subject == "" && len(record.Digest) != len(c.digest):
		return penstock.Errorf(penstock.Corrupt, "fleet: credential %s has a digest of %d bytes, want %d", c.id, len(record.Digest), len(c.digest))
	}
	b.insert(c)
	return nil
}

func newCredential(id string, record credentialRecord) *credential {
	c := &credential{id: id, record: record}
	copy(c.digest[:], record.Digest)
	c.principal = &penstock.Principal{Credential: id, Role: record.Role, Scope: record.Scope}
	return c
}

func (b *book) insert(c *credential) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.byID[c.id] = c
	if c.record.Subject != "" && c.record.Revoked == 0 {
		b.bySubject[c.record.Subject] = c
	}
}

// list returns the credentials in the order of their making.
func (b *book) list() []Credential {
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

// public returns what may be told of c. The caller holds the book's mu.
func (c *credential) public() Credential {
	return Credential{
		ID: c.id, Label: c.record.Label, Kind: c.record.kind(), Role: c.record.Role, Scope: slices.Clone(c.record.Scope),
		Subject: c.record.Subject, Created: c.record.Created, Revoked: c.record.Revoked, LastUsed: c.lastUsed.Load(),
	}
}

// kind tells the kind of a credential by what it holds.
func (r *credentialRecord) kind() CredentialKind {
	switch {
	case r.Subject != "":
		return CertificateCredential
	case len(r.Secret) > 0:
		return KeyCredential
	}
	return TokenCredential
}

// oldestRevoked returns the credential that was revoked first, nil for none.
func (b *book) oldestRevoked() *credential {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var oldest *credential
	for _, c := range b.byID {
		if c.record.Revoked != 0 && (oldest == nil || c.record.Revoked < oldest.record.Revoked) {
			oldest = c
		}
	}
	return oldest
}

func (g Grant) check() error {
	if g.Label == "" || len(g.Label) > maxLabel {
		return penstock.Errorf(penstock.Invalid, "a credential needs a label of 1 to %d bytes, this one has %d", maxLabel, len(g.Label))
	}
	if err := name.CheckText("label", g.Label); err != nil {
		return err
	}
	switch g.Role {
	case penstock.RoleController, penstock.RoleViewer, penstock.RoleOperator, penstock.RoleAdmin:
	default:
		return penstock.Errorf(penstock.Invalid, "role %q is none of controller, viewer, operator and admin", string(g.Role))
	}
	if len(g.Scope) == 0 || len(g.Scope) > maxScope {
		return penstock.Errorf(penstock.Invalid, "a scope has 1 to %d entries, this one has %d; a pattern such as \"pump-*\" covers many controllers", maxScope, len(g.Scope))
	}
	for _, pattern := range g.Scope {
		if err := name.CheckPattern(pattern); err != nil {
			return err
		}
	}
	return g.checkKind()
}

// checkKind refuses a kind that does not go with the rest of the grant.
func (g Grant) checkKind() error {
	switch g.Kind {
	case "", TokenCredential, CertificateCredential, KeyCredential:
	default:
		return penstock.Errorf(penstock.Invalid, "kind %.40q is none of token, certificate and key", string(g.Kind))
	}
	certificate := g.Kind == CertificateCredential || g.Kind == "" && g.Subject != ""
	switch {
	case certificate:
		return checkSubject(g.Subject)
	case g.Subject != "":
		return penstock.Errorf(penstock.Invalid, "only a certificate has a subject")
	case g.Kind == KeyCredential && g.Role != penstock.RoleController:
		return penstock.Errorf(penstock.Invalid, "a key is for controllers that send: a %s needs a token or a certificate", g.Role)
	}
	return nil
}
