package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/penstock/penstock"
)

// Fleet is what a gateway knows of controllers, and the credentials that it
// gave.
type Fleet struct {
	Controllers []Controller `json:"controllers"`
	Credentials []Credential `json:"credentials,omitempty"` // shown to admins
}

// Controller is one controller. Times are RFC 3339, empty for never.
type Controller struct {
	Name         string `json:"name"`
	State        string `json:"state"` // registered or held
	FirstSeen    string `json:"first_seen,omitempty"`
	LastSeen     string `json:"last_seen,omitempty"`
	Source       string `json:"source,omitempty"`        // through which its last report came
	LastIdentity string `json:"last_identity,omitempty"` // of its last report
	Points       int    `json:"points"`
	Site         string `json:"site,omitempty"` // where it stands, as was imported
	Line         string `json:"line,omitempty"` // that it shares with others
}

// Credential is one credential, without its secret.
type Credential struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"` // for people: whose it is
	Kind     string         `json:"kind"` // token, certificate or key
	Role     penstock.Role  `json:"role"`
	Scope    penstock.Scope `json:"scope"`
	Subject  string         `json:"subject,omitempty"` // of a certificate
	Created  string         `json:"created,omitempty"`
	Revoked  string         `json:"revoked,omitempty"`
	LastUsed string         `json:"last_used,omitempty"` // since the gateway started
}

// Grant is what a new credential may do.
type Grant struct {
	Name  string         `json:"name"`           // for people: whose it is
	Kind  string         `json:"kind,omitempty"` // token or key; empty for a token
	Role  penstock.Role  `json:"role"`
	Scope penstock.Scope `json:"scope"`

	Certificate string `json:"certificate,omitempty"` // in PEM, of the kind that has no secret here
}

// Fleet returns the controllers and the credentials; controller narrows it to
// the controllers whose names match, and is empty for all.
func (c *Client) Fleet(ctx context.Context, controller string) (Fleet, error) {
	var f Fleet
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/controllers", query: filter(controller)}, nil, &f)
	return f, err
}

// Granted is a new credential. Its secret is shown this once: a token, a key, or nothing
// for a certificate.
type Granted struct {
	Credential
	Token string `json:"token"`
	Key   string `json:"key"`
}

// Secret returns the token or the key.
func (g *Granted) Secret() string { return g.Token + g.Key }

// Grant makes a credential.
func (c *Client) Grant(ctx context.Context, g Grant) (made Granted, err error) {
	err = c.call(ctx, request{method: http.MethodPost, path: "/v1/controllers"}, g, &made)
	if err == nil && made.Secret() == "" && g.Certificate == "" {
		err = penstock.Errorf(penstock.Internal, "the gateway answered without a token or a key")
	}
	return made, err
}

// Revoke ends a credential at once.
func (c *Client) Revoke(ctx context.Context, id string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: "/v1/controllers/" + url.PathEscape(id)}, nil, nil)
}

// Admit lets a held controller report.
func (c *Client) Admit(ctx context.Context, controller string) error {
	return c.call(ctx, request{method: http.MethodPost, path: "/v1/controllers/" + url.PathEscape(controller) + "/admit"}, nil, nil)
}

// Account is the account of one controller, in reports. Received is the sum of
// accepted, duplicate and rejected; accepted is the sum of what stands below
// rejected.
type Account struct {
	Controller        string            `json:"controller,omitempty"`
	Received          uint64            `json:"received"`
	Accepted          uint64            `json:"accepted"`
	Duplicate         uint64            `json:"duplicate"`
	Rejected          map[string]uint64 `json:"rejected"`
	Committed         uint64            `json:"committed"`
	DuplicateAtRecord uint64            `json:"duplicate_at_record"`
	InSpool           uint64            `json:"in_spool"`
	Quarantined       uint64            `json:"quarantined"`
	Filtered          uint64            `json:"filtered"`
	Discarded         uint64            `json:"discarded"`
	Damaged           uint64            `json:"damaged"`
}

// Books are the accounts of all controllers, their total, and what was refused
// before it named a controller.
type Books struct {
	Controllers []Account         `json:"controllers"`
	Total       Account           `json:"total"`
	Nameless    map[string]uint64 `json:"nameless,omitempty"` // by reason; shown to a scope of *
}

// Ledger returns the books; controller narrows them to the names that match, and
// is empty for all.
func (c *Client) Ledger(ctx context.Context, controller string) (Books, error) {
	var b Books
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/ledger", query: filter(controller)}, nil, &b)
	return b, err
}

func filter(controller string) url.Values {
	if controller == "" {
		return nil
	}
	return url.Values{"controller": {controller}}
}

// call sends one JSON value and reads one, either of them nil for none.
func (c *Client) call(ctx context.Context, r request, send, receive any) (err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	r.accept = "application/json"
	if send != nil {
		r.contentType = "application/json"
		if r.body, err = json.Marshal(send); err != nil {
			return penstock.Errorf(penstock.Invalid, "the request cannot be written: %w", err)
		}
	}
	res, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	if receive == nil {
		drain(res.Body)
		return nil
	}
	return c.decode(res, receive)
}
