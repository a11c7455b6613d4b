package api

import (
	"crypto/x509"
	"iter"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/ingest"
	"github.com/penstock/penstock/internal/api/problem"
	"github.com/penstock/penstock/internal/api/query"
)

// Registry manages controllers and credentials. Times are nanoseconds since 1970
// UTC, 0 for never.
type Registry interface {
	// Controllers returns the known controllers in the order of their names.
	Controllers() []Controller
	// Credentials returns all credentials, the revoked ones included.
	Credentials() []Credential
	// Add makes a credential with a secret, its token or its key, that is shown
	// this once.
	Add(g Grant) (secret string, c Credential, err error)
	// Revoke ends a credential at once; code NotFound when there is none.
	Revoke(id string) error
	// Admit lets a held controller report; code NotFound when it is not held.
	Admit(name string) error
}

// Grant is what a new credential may do.
type Grant struct {
	Label string
	Kind  string // token or key; empty for a token, and for a certificate
	Role  penstock.Role
	Scope penstock.Scope
	// Certificate is the one that its holder connects with; nil for the other kinds.
	Certificate *x509.Certificate
}

// Credential is one credential, without its secret.
type Credential struct {
	ID       string
	Label    string
	Kind     string // token, certificate or key
	Role     penstock.Role
	Scope    penstock.Scope
	Subject  string // of a certificate
	Created  int64
	Revoked  int64
	LastUsed int64
}

// Controller is what the fleet knows of a controller.
type Controller struct {
	Name         string
	State        string // registered or held
	FirstSeen    int64
	LastSeen     int64
	Source       string
	LastIdentity penstock.Identity
	Points       int
	Site         string
	Line         string
}

// Sheets writes and reads what the fleet is: controllers and points as CSV, for
// people, and credentials for other nodes.
type Sheets interface {
	// Export yields the sheet of the controllers for which shown is true, in parts
	// that are valid until the next.
	Export(shown func(controller string) bool) iter.Seq[[]byte]
	// Import registers and declares what the sheet says, all or, with a problem,
	// nothing; covers returns an error for a controller that the caller has no right
	// to. A dry run changes nothing.
	Import(sheet []byte, covers func(controller string) error, dry bool) (SheetResult, error)
	// ExportCredentials returns the credentials as JSON that other nodes read.
	ExportCredentials() ([]byte, error)
	// ImportCredentials takes over what another node exported.
	ImportCredentials(text []byte) (CredentialsImported, error)
}

// SheetResult is what became of a sheet.
type SheetResult struct {
	Rows        int
	Controllers int           // became registered
	Points      int           // are declared now, or otherwise than before
	Places      int           // controllers that stand elsewhere than was known
	Problems    []problem.Row // with one nothing was imported
	More        int           // problems that are not listed
}

// Ledger has the books.
type Ledger interface {
	query.Ledger
	ingest.Record
	// Arrivals returns how many reports of a controller were duplicates, and how many
	// sequence numbers are missing before its newest ones; false when it has no books.
	Arrivals(controller string) (duplicates, missing uint64, known bool)
}
