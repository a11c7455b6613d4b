package api

import "github.com/penstock/penstock"

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
	Kind  string // token or key; empty for a token
	Role  penstock.Role
	Scope penstock.Scope
}

// Credential is one credential, without its secret.
type Credential struct {
	ID       string
	Label    string
	Kind     string // token, certificate or key
	Role     penstock.Role
	Scope    penstock.Scope
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
}
