package session

import (
	"net/http"
	"reflect"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/problem"
	"github.com/penstock/penstock/internal/api/web"
)

// Handler answers who signs in and out.
type Handler struct {
	Table *Table
	Auth  web.Authenticator
}

// SignIn is what a person shows: one of both.
type SignIn struct {
	Token string `json:"token,omitempty" doc:"Of a credential with the role viewer, operator or admin."`
	Code  string `json:"code,omitempty" doc:"Of a sign-in link."`
}

// Link is what signs a person in once.
type Link struct {
	Code string `json:"code" doc:"For POST /v1/session, once."`
	Path string `json:"path" doc:"Of the console's page that signs in with it; it stands behind the #, which no browser sends."`
	Ends string `json:"ends"`
}

// Info is who is signed in.
type Info struct {
	Credential string   `json:"credential" doc:"The credential's public id."`
	Role       string   `json:"role" enum:"viewer,operator,admin"`
	Scope      []string `json:"scope" doc:"The controllers that it sees: names, in which * stands for any run of characters."`
	Ends       string   `json:"ends,omitempty" doc:"When the session ends at the latest; in the answer to signing in."`
}

// Routes returns what it answers.
func (h *Handler) Routes() []web.Route {
	const path = "/v1/session"
	info := []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[Info]()}}
	return []web.Route{{
		Method: http.MethodPost, Path: path, Access: web.Open, Serve: h.signIn,
		Summary: "Sign in with a token",
		Details: "The answer sets the cookie " + web.SessionCookie + ", which stands for the token in requests of the gateway's own pages: HttpOnly, Secure, SameSite=Strict. It ends after an hour without a request, after twelve hours, when the token is revoked and when the gateway ends. Programs send their token with each request and need no session.",
		Body:    []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[SignIn]()}},
		Answer:  info,
		Status:  []int{http.StatusCreated},
	}, {
		Method: http.MethodPost, Path: path + "/links", Access: web.Viewer, Serve: h.link,
		Summary: "Make a link that signs in once",
		Details: "For who has the token at hand where no browser is, as in a terminal. The link stands for the token of the request, is good for ten minutes and once, and ends with the gateway.",
		Answer:  []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[Link]()}},
		Status:  []int{http.StatusCreated},
	}, {
		Method: http.MethodGet, Path: path, Access: web.Viewer, Serve: h.who,
		Summary: "Who is signed in",
		Answer:  info,
	}, {
		Method: http.MethodDelete, Path: path, Access: web.Open, Serve: h.signOut,
		Summary: "Sign out",
		Details: "The session ends at once, and its cookie is taken back. It is no error when none is open.",
		Status:  []int{http.StatusNoContent},
	}}
}

// signIn answers POST /v1/session.
func (h *Handler) signIn(c *web.Call) error {
	var wish SignIn
	if err := c.ReadJSON(&wish); err != nil {
		return err
	}
	if wish.Code != "" {
		token, waits := h.Table.Redeem(wish.Code)
		if !waits || wish.Token != "" {
			c.Log().Warn("signing in was refused: no such link", "peer", c.R.RemoteAddr)
			return problem.New(problem.Unauthenticated, "The link was used already, or is too old.")
		}
		wish.Token = token
	}
	who, err := h.Auth.Authenticate(penstock.Credential{Token: wish.Token})
	if err != nil {
		c.Log().Warn("signing in was refused", "peer", c.R.RemoteAddr)
		return err
	}
	if !web.Viewer.Allows(who.Role) {
		return problem.New(problem.Forbidden, "The credential "+who.Credential+" is a controller's: it sends reports and sees nothing.")
	}
	id, ends, err := h.Table.Open(who.Credential, wish.Token)
	if err != nil {
		return err
	}
	http.SetCookie(c, cookie(id, 0))
	c.Log().Info("somebody signed in", "credential", who.Credential, "role", string(who.Role), "peer", c.R.RemoteAddr)
	answer := info(who)
	answer.Ends = ends.UTC().Format(time.RFC3339)
	return c.JSON(http.StatusCreated, answer)
}

// link answers POST /v1/session/links.
func (h *Handler) link(c *web.Call) error {
	if c.Cred.Token == "" {
		return problem.New(problem.Forbidden, "A link stands for a token, and the request has none.")
	}
	code, ends, err := h.Table.Link(c.Cred.Token)
	if err != nil {
		return err
	}
	c.Log().Info("a sign-in link was made", "credential", c.Who.Credential, "peer", c.R.RemoteAddr)
	return c.JSON(http.StatusCreated, Link{code, "/#/sign-in/" + code, ends.UTC().Format(time.RFC3339)})
}

// who answers GET /v1/session.
func (h *Handler) who(c *web.Call) error { return c.JSON(http.StatusOK, info(c.Who)) }

// signOut answers DELETE /v1/session.
func (h *Handler) signOut(c *web.Call) error {
	if id := c.SessionID(); id != "" {
		h.Table.Close(id)
	}
	http.SetCookie(c, cookie("", -1))
	c.WriteHeader(http.StatusNoContent)
	return nil
}

func info(who *penstock.Principal) Info {
	return Info{Credential: who.Credential, Role: string(who.Role), Scope: who.Scope}
}

// cookie returns the cookie of a session. It has no time of its own and ends with
// the browser, or sooner by the table.
func cookie(id string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: web.SessionCookie, Value: id, Path: "/", MaxAge: maxAge, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}
