package api

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/query"
	"github.com/penstock/penstock/internal/api/web"
)

// The kinds of credential that can be asked for.
const (
	kindToken       = "token"
	kindKey         = "key"
	kindCertificate = "certificate"
)

// fleet answers for controllers and credentials.
type fleet struct{ registry Registry }

func (f *fleet) routes() []web.Route {
	return []web.Route{{
		Method: http.MethodGet, Path: "/v1/controllers", Access: web.Viewer, Serve: f.controllers,
		Summary: "The known controllers, and for admins the credentials",
		Params:  []web.Param{query.ControllerParam()},
		Answer:  []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[Fleet]()}},
	}, {
		Method: http.MethodPost, Path: "/v1/controllers", Access: web.Admin, Serve: f.addCredential,
		Summary: "Add a credential",
		Details: "The token or the key is in this answer and nowhere else. Of a token the gateway keeps only a digest; a key it keeps sealed, because both ends of a link work with it. For a client certificate there is no secret: whoever connects with one of that name, signed by an authority of tls.client_ca, has the credential.",
		Body:    []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[NewCredential]()}},
		Answer:  []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[CredentialAdded]()}},
		Status:  []int{http.StatusCreated},
	}, {
		Method: http.MethodDelete, Path: "/v1/controllers/{id}", Access: web.Admin, Serve: f.revokeCredential,
		Summary: "Revoke a credential",
		Details: "Every later request with it is refused.",
		Params:  []web.Param{{In: "path", Name: "id", Doc: "The credential's public id."}},
		Status:  []int{http.StatusNoContent},
	}, {
		Method: http.MethodPost, Path: "/v1/controllers/{name}/admit", Access: web.Operator, Serve: f.admitController,
		Summary: "Let a held controller report",
		Params:  []web.Param{{In: "path", Name: "name", Doc: "The controller's name."}},
		Status:  []int{http.StatusNoContent},
	}}
}

// Fleet is what a caller may see of controllers and credentials.
type Fleet struct {
	Controllers []ControllerInfo `json:"controllers"`
	Credentials []CredentialInfo `json:"credentials,omitempty" doc:"Shown to admins."`
}

// ControllerInfo is what the fleet knows of a controller.
type ControllerInfo struct {
	Name         string `json:"name"`
	State        string `json:"state" doc:"registered, or held until a person admits it." enum:"registered,held"`
	FirstSeen    string `json:"first_seen,omitempty" doc:"When its first report came."`
	LastSeen     string `json:"last_seen,omitempty" doc:"When its last report came."`
	Source       string `json:"source,omitempty" doc:"Through which its last report came."`
	LastIdentity string `json:"last_identity,omitempty" doc:"Of its last report: epoch/seq, key:… or natural."`
	Points       int    `json:"points"`
	Site         string `json:"site,omitempty" doc:"Where it stands, as was imported."`
	Line         string `json:"line,omitempty" doc:"What it shares with others: a serial line, a radio's base. As was imported."`
}

// CredentialInfo is a credential without its secret.
type CredentialInfo struct {
	ID       string   `json:"id"`
	Name     string   `json:"name" doc:"For people: whose it is."`
	Kind     string   `json:"kind" enum:"token,certificate,key"`
	Role     string   `json:"role" enum:"controller,viewer,operator,admin"`
	Scope    []string `json:"scope"`
	Subject  string   `json:"subject,omitempty" doc:"Of a certificate: uri: and its URI, or cn: and its common name."`
	Created  string   `json:"created,omitempty"`
	Revoked  string   `json:"revoked,omitempty"`
	LastUsed string   `json:"last_used,omitempty" doc:"Since the gateway started."`
}

// NewCredential is the wish for a credential.
type NewCredential struct {
	Name  string   `json:"name" doc:"For people: whose it is." example:"pump station 17"`
	Kind  string   `json:"kind,omitempty" enum:"token,key,certificate" doc:"A token is sent as it is, under TLS; a key seals what a controller sends over UDP or a serial line; a certificate is shown when a connection is made. token when absent, or certificate where there is one."`
	Role  string   `json:"role,omitempty" enum:"controller,viewer,operator,admin" doc:"What it may do: a controller sends, a viewer reads, an operator acts on held controllers, an admin manages credentials. controller when absent."`
	Scope []string `json:"scope" doc:"The controllers it may speak for or read: names, in which * stands for any run of characters."`

	Certificate string `json:"certificate,omitempty" doc:"The client certificate, in PEM. Only its name is kept: another one of the same name has the same credential."`
}

// CredentialAdded is a new credential with its secret: a token or a key, and nothing
// for a certificate.
type CredentialAdded struct {
	CredentialInfo
	Token string `json:"token,omitempty" doc:"Send it as Authorization: Bearer TOKEN. It is not shown again."`
	Key   string `json:"key,omitempty" doc:"The key's id and secret in hexadecimal, with a colon between. It is not shown again."`
}

// controllers answers GET /v1/controllers.
func (f *fleet) controllers(c *web.Call) error {
	pattern := c.Value("controller")
	answer := Fleet{Controllers: []ControllerInfo{}}
	for _, k := range f.registry.Controllers() {
		if !c.Sees(pattern, k.Name) {
			continue
		}
		info := ControllerInfo{
			Name: k.Name, State: k.State, Source: k.Source, Points: k.Points, Site: k.Site, Line: k.Line,
			FirstSeen: timeText(k.FirstSeen), LastSeen: timeText(k.LastSeen),
		}
		if k.LastSeen != 0 {
			info.LastIdentity = k.LastIdentity.String()
		}
		answer.Controllers = append(answer.Controllers, info)
	}
	if web.Admin.Allows(c.Who.Role) && pattern == "" {
		for _, k := range f.registry.Credentials() {
			if within(c.Who.Scope, k.Scope) {
				answer.Credentials = append(answer.Credentials, credentialInfo(k))
			}
		}
	}
	return c.JSON(http.StatusOK, answer)
}

func credentialInfo(k Credential) CredentialInfo {
	return CredentialInfo{
		ID: k.ID, Name: k.Label, Kind: k.Kind, Role: string(k.Role), Scope: k.Scope, Subject: k.Subject,
		Created: timeText(k.Created), Revoked: timeText(k.Revoked), LastUsed: timeText(k.LastUsed),
	}
}

func timeText(ns int64) string {
	if ns == 0 {
		return ""
	}
	return time.Unix(0, ns).UTC().Format(time.RFC3339Nano)
}

// addCredential answers POST /v1/controllers.
func (f *fleet) addCredential(c *web.Call) error {
	var wish NewCredential
	if err := c.ReadJSON(&wish); err != nil {
		return err
	}
	if wish.Role == "" {
		wish.Role = string(penstock.RoleController)
	}
	if !web.IsRole(wish.Role) {
		return penstock.Errorf(penstock.Invalid, "role: %.40q is not controller, viewer, operator or admin", wish.Role)
	}
	if len(wish.Scope) == 0 {
		return penstock.Errorf(penstock.Invalid, "scope: the credential needs at least one controller or pattern")
	}
	if !within(c.Who.Scope, wish.Scope) {
		return penstock.Errorf(penstock.Forbidden, "The scope of the credential %s does not cover all of the scope asked for.", c.Who.Credential)
	}
	grant := Grant{Label: wish.Name, Kind: wish.Kind, Role: penstock.Role(wish.Role), Scope: wish.Scope}
	if err := wish.certificate(&grant); err != nil {
		return err
	}
	secret, k, err := f.registry.Add(grant)
	if err != nil {
		return err
	}
	c.Log().Info("a credential was added", "credential", k.ID, "kind", k.Kind, "role", k.Role, "scope", k.Scope, "by", c.Who.Credential, "peer", c.R.RemoteAddr)
	added := CredentialAdded{CredentialInfo: credentialInfo(k)}
	switch k.Kind {
	case kindKey:
		added.Key = secret
	case kindToken:
		added.Token = secret
	}
	return c.JSON(http.StatusCreated, added)
}

// certificate checks that the kind goes with the certificate, and gives that to the grant.
func (n *NewCredential) certificate(g *Grant) error {
	switch n.Kind {
	case "", kindToken, kindKey, kindCertificate:
	default:
		return penstock.Errorf(penstock.Invalid, "kind: %.40q is not token, key or certificate", n.Kind)
	}
	if n.Certificate == "" {
		if n.Kind == kindCertificate {
			return penstock.Errorf(penstock.Invalid, "certificate: it is missing; send it in PEM")
		}
		return nil
	}
	if n.Kind != "" && n.Kind != kindCertificate {
		return penstock.Errorf(penstock.Invalid, "certificate: a %s has none", n.Kind)
	}
	block, rest := pem.Decode([]byte(n.Certificate))
	if block == nil || block.Type != "CERTIFICATE" {
		return penstock.Errorf(penstock.Invalid, "certificate: it does not begin with a certificate in PEM (-----BEGIN CERTIFICATE-----)")
	}
	if next, _ := pem.Decode(rest); next != nil && next.Type != "CERTIFICATE" {
		return penstock.Errorf(penstock.Invalid, "certificate: a block %.40q follows it; send the certificate alone, and keep its key where it is", next.Type)
	}
	var err error
	if g.Certificate, err = x509.ParseCertificate(block.Bytes); err != nil {
		return penstock.Errorf(penstock.Invalid, "certificate: %w", err)
	}
	return nil
}

// revokeCredential answers DELETE /v1/controllers/{id}.
func (f *fleet) revokeCredential(c *web.Call) error {
	id := c.R.PathValue("id")
	i := slices.IndexFunc(f.registry.Credentials(), func(k Credential) bool {
		return k.ID == id && within(c.Who.Scope, k.Scope)
	})
	if i < 0 {
		return penstock.Errorf(penstock.NotFound, "There is no credential with the id %.60q.", id)
	}
	if err := f.registry.Revoke(id); err != nil {
		return err
	}
	return done(c, "a credential was revoked", "credential", id)
}

// admitController answers POST /v1/controllers/{name}/admit.
func (f *fleet) admitController(c *web.Call) error {
	name := c.R.PathValue("name")
	if err := c.Covers(name); err != nil {
		return err
	}
	if err := f.registry.Admit(name); err != nil {
		return err
	}
	return done(c, "a controller was admitted", "controller", name)
}

// done answers an act that leaves nothing to tell but that it was done, and by
// whom, to the log.
func done(c *web.Call, what, key, value string) error {
	c.Log().Info(what, key, value, "by", c.Who.Credential, "peer", c.R.RemoteAddr)
	c.WriteHeader(http.StatusNoContent)
	return nil
}

// within tells whether a scope of inner could be granted by who has outer: no
// pattern of it reaches beyond.
func within(outer, inner penstock.Scope) bool {
	for _, p := range inner {
		if !outer.Covers(p) {
			return false
		}
	}
	return true
}
