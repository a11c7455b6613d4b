package web

import (
	"net/http"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/problem"
)

// admit finds out who calls and holds it against the rule of the route.
func (c *Call) admit() error {
	if c.route.Access == Open {
		return nil
	}
	c.Cred = credential(c.R)
	who, err := c.s.auth.Authenticate(c.Cred)
	if err != nil {
		if c.route.Refuses {
			c.Denied = err
			return nil
		}
		return err
	}
	c.Who = who
	if !c.route.Access.Allows(who.Role) {
		return problem.New(problem.Forbidden, "This needs the role "+string(c.route.Access)+", and the credential "+who.Credential+" has the role "+string(who.Role)+".")
	}
	return nil
}

// StillKnown tells whether the caller's credential would still be let in: for
// answers that go on for long.
func (c *Call) StillKnown() bool {
	who, err := c.s.auth.Authenticate(c.Cred)
	return err == nil && c.route.Access.Allows(who.Role)
}

// Covers returns an error of code [penstock.Forbidden] when the caller's scope
// does not cover the controller.
func (c *Call) Covers(controller string) error {
	if c.Who.Scope.Covers(controller) {
		return nil
	}
	return penstock.Errorf(penstock.Forbidden, "The scope of the credential %s does not cover the controller %.60q.", c.Who.Credential, controller)
}

// Sees tells whether the caller's scope, and a pattern of the request unless it
// is empty, cover the controller.
func (c *Call) Sees(pattern, controller string) bool {
	return c.Who.Scope.Covers(controller) && (pattern == "" || penstock.Scope{pattern}.Covers(controller))
}

// credential returns what the request shows of its sender. The password
// of Basic is the token. An Authorization of another scheme is as good as none.
func credential(r *http.Request) penstock.Credential {
	var c penstock.Credential
	if values := r.Header["Authorization"]; len(values) == 1 {
		scheme, token, _ := strings.Cut(values[0], " ")
		switch strings.ToLower(scheme) {
		case "bearer", "token": // the latter is what clients of InfluxDB write
			c.Token = strings.TrimSpace(token)
		case "basic":
			_, c.Token, _ = r.BasicAuth()
		}
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		c.Certificates = r.TLS.VerifiedChains[0]
	}
	return c
}
