package mqttbroker_test

import (
	"sync"

	"github.com/penstock/penstock"
)

// guard lets in who shows the name of a controller as the password, for that
// controller alone; "all" is for all of them.
type guard struct {
	mu      sync.Mutex
	revoked map[string]bool
}

func (g *guard) Authenticate(c penstock.Credential) (*penstock.Principal, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	name := c.Token
	if name == "" && len(c.Certificates) > 0 {
		name = c.Certificates[0].Subject.CommonName
	}
	if name == "" || name == "wrong" || g.revoked[name] {
		return nil, penstock.Errorf(penstock.Unauthenticated, "the token is not known")
	}
	scope := penstock.Scope{name}
	if name == "all" {
		scope = penstock.Scope{"*"}
	}
	return &penstock.Principal{Credential: name, Role: penstock.RoleController, Scope: scope}, nil
}

func (g *guard) revoke(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.revoked == nil {
		g.revoked = map[string]bool{}
	}
	g.revoked[name] = true
}
