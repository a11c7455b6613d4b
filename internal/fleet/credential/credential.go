package credential

import (
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet/name"
)

// Kind says how a credential is shown.
type Kind string

// The kinds of credential.
const (
	Token       Kind = "token"
	Certificate Kind = "certificate"
	// Key is a secret that both ends hold and that never travels: it seals what a
	// controller sends where there is no TLS.
	Key Kind = "key"
)

// Limits of a credential.
const (
	maxLabel   = 128 // bytes
	maxScope   = 256 // patterns
	maxSubject = 512 // bytes
)

// Grant is what a new credential shall allow.
type Grant struct {
	Label   string         // for people: whose it is, 1 to 128 bytes
	Role    penstock.Role  // what it may do beyond sending
	Scope   penstock.Scope // which controllers it may speak for or read, 1 to 256 patterns
	Kind    Kind           // empty for a certificate where there is a Subject, else for a token
	Subject string         // of a client certificate, see [Subject]; empty for the other kinds
}

// Credential is what the book tells of a credential: never the secret.
// Times are nanoseconds since 1970 UTC, 0 for never.
type Credential struct {
	ID       string // public, in logs and in the token
	Label    string
	Kind     Kind
	Role     penstock.Role
	Scope    penstock.Scope
	Subject  string // of a certificate
	Created  int64
	Revoked  int64
	LastUsed int64 // since the gateway started
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
	case "", Token, Certificate, Key:
	default:
		return penstock.Errorf(penstock.Invalid, "kind %.40q is none of token, certificate and key", string(g.Kind))
	}
	certificate := g.Kind == Certificate || g.Kind == "" && g.Subject != ""
	switch {
	case certificate:
		return checkSubject(g.Subject)
	case g.Subject != "":
		return penstock.Errorf(penstock.Invalid, "only a certificate has a subject")
	case g.Kind == Key && g.Role != penstock.RoleController:
		return penstock.Errorf(penstock.Invalid, "a key is for controllers that send: a %s needs a token or a certificate", g.Role)
	}
	return nil
}

func checkSubject(subject string) error {
	rest, ok := strings.CutPrefix(subject, uriSubject)
	if !ok {
		rest, ok = strings.CutPrefix(subject, cnSubject)
	}
	if !ok || rest == "" || len(subject) > maxSubject {
		return penstock.Errorf(penstock.Invalid, "the subject %.60q of a certificate is \"uri:\" and its URI, or \"cn:\" and its common name, at most %d bytes", subject, maxSubject)
	}
	return name.CheckText("subject", subject)
}
