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
	c.fromSession()
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
	if c.session != "" {
		if _, open := c.s.sessions.Token(c.session); !open {
			return false
		}
	}
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

// SessionCookie is the name of the cookie of who is signed in. The prefix has
// browsers take it over TLS only, from this host only, and for all of its paths.
const SessionCookie = "__Host-penstock"

// Sessions are those who signed in.
type Sessions interface {
	// Token returns the token that an open session stands for.
	Token(id string) (token string, open bool)
}

// SessionID returns the id of the session that the request shows, open or not, and
// empty for none. A session counts only for requests of our own pages: browsers say
// who sent a request, and what another site sends shows no session.
func (c *Call) SessionID() string {
	switch c.R.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin":
	default:
		return ""
	}
	if shown := c.R.CookiesNamed(SessionCookie); len(shown) == 1 {
		return shown[0].Value
	}
	return ""
}

// fromSession takes the token of the session where the request has none of its own.
func (c *Call) fromSession() {
	if c.Cred.Token != "" || c.s.sessions == nil {
		return
	}
	if id := c.SessionID(); id != "" {
		if token, open := c.s.sessions.Token(id); open {
			c.Cred.Token, c.session = token, id
		}
	}
}
