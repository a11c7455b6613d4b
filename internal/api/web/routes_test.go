package web_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/web"
)

type nobody struct{}

func (nobody) Authenticate(penstock.Credential) (*penstock.Principal, error) {
	return nil, penstock.Errorf(penstock.Unauthenticated, "nobody is known")
}

func nothing(*web.Call) error { return nil }

func TestARouteWithoutARuleIsRefused(t *testing.T) {
	for access, says := range map[web.Access]string{"": "no rule", "god": "not a role"} {
		_, err := web.New(web.Options{Auth: nobody{}, Routes: []web.Route{{Method: "GET", Path: "/x", Access: access, Serve: nothing}}})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", access, err)
		}
	}
}

func TestEachRoleHasTheRightsOfThoseBeforeIt(t *testing.T) {
	rules := []web.Access{web.Open, web.Controller, web.Viewer, web.Operator, web.Admin}
	roles := []penstock.Role{"", penstock.RoleController, penstock.RoleViewer, penstock.RoleOperator, penstock.RoleAdmin}
	for i, rule := range rules {
		for j, role := range roles {
			if rule.Allows(role) != (j >= i) {
				t.Errorf("%s allows %q: %v", rule, role, rule.Allows(role))
			}
		}
	}
	if web.Access("").Allows(penstock.RoleAdmin) || web.Access("god").Allows("god") {
		t.Error("what is no rule allows somebody")
	}
}

// A handler that fails after the first byte breaks the answer off, and one that
// panics fails alone.
func TestHandlersThatFail(t *testing.T) {
	s, err := web.New(web.Options{Auth: nobody{}, Routes: []web.Route{
		{Method: "GET", Path: "/late", Access: web.Open, Serve: func(c *web.Call) error {
			if _, err := c.Write([]byte("half")); err != nil {
				return err
			}
			panic("in the middle")
		}},
		{Method: "GET", Path: "/early", Access: web.Open, Serve: func(*web.Call) error { panic("at once") }},
	}})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", "/early", nil))
	if w.Code != 500 || strings.Contains(w.Body.String(), "at once") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	defer func() {
		if recover() == nil {
			t.Error("half an answer was left to look whole")
		}
	}()
	s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/late", nil))
}
