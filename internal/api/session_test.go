package api_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/api"
	"github.com/penstock/penstock/internal/api/session"
	"github.com/penstock/penstock/internal/api/web"
)

// signIn returns the cookie of a session, as a header of requests.
func signIn(t *testing.T, g *gateway, token string) string {
	t.Helper()
	r := g.do(g.client(true), ask{"POST", "/v1/session", "", `{"token":"` + token + `"}`, asJSON})
	set := r.header.Get("Set-Cookie")
	if r.status != 201 || !strings.HasPrefix(set, web.SessionCookie+"=") {
		t.Fatalf("%d %q %s", r.status, set, r.body)
	}
	for _, needed := range []string{"; Path=/", "; HttpOnly", "; Secure", "; SameSite=Strict"} {
		if !strings.Contains(set, needed) {
			t.Errorf("%q is not %s", set, needed)
		}
	}
	if strings.Contains(set, token) || strings.Contains(set, "Domain") {
		t.Errorf("%q", set)
	}
	cookie, _, _ := strings.Cut(set, ";")
	return cookie
}

func TestSession(t *testing.T) {
	g := filled(t)
	c := g.client(true)
	cookie := signIn(t, g, "operator")
	with := func(method, path string, more ...string) int {
		h := map[string]string{"Cookie": cookie}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return g.do(c, ask{method, path, "", "", h}).status
	}
	for _, step := range []struct {
		what string
		got  int
		want int
	}{
		{"a read", with("GET", "/v1/latest"), 200},
		{"a read of our own page", with("GET", "/v1/latest", "Sec-Fetch-Site", "same-origin"), 200},
		{"a read of another site", with("GET", "/v1/latest", "Sec-Fetch-Site", "cross-site"), 401},
		{"a read of a neighbour", with("GET", "/v1/latest", "Sec-Fetch-Site", "same-site"), 401},
		{"an address that a person typed", with("GET", "/v1/latest", "Sec-Fetch-Site", "none"), 401},
		{"an act of the role", with("POST", "/v1/sinks/broker/pause", "Sec-Fetch-Site", "same-origin"), 204},
		{"an act of another origin", with("POST", "/v1/sinks/broker/pause", "Origin", "https://evil.example"), 403},
		{"an act of another site", with("POST", "/v1/sinks/broker/pause", "Sec-Fetch-Site", "cross-site"), 403},
		{"an act beyond the role", with("POST", "/v1/controllers", "Content-Type", "application/json"), 403},
		{"a token beside it", g.do(c, ask{"POST", "/v1/sinks/broker/pause", "viewer", "", map[string]string{"Cookie": cookie}}).status, 403},
		{"two cookies", g.do(c, ask{"GET", "/v1/latest", "", "", map[string]string{"Cookie": cookie + "; " + cookie}}).status, 401},
		{"a cookie that was made up", g.do(c, ask{"GET", "/v1/latest", "", "", map[string]string{"Cookie": web.SessionCookie + "=x"}}).status, 401},
		{"signing out from elsewhere", with("DELETE", "/v1/session", "Sec-Fetch-Site", "cross-site"), 403},
		{"still signed in", with("GET", "/v1/session"), 200},
		{"signing out", with("DELETE", "/v1/session"), 204},
		{"after it", with("GET", "/v1/latest"), 401},
	} {
		if step.got != step.want {
			t.Errorf("%s: %d and not %d", step.what, step.got, step.want)
		}
	}
}

// A sign-in link stands for the token that it was made with, once, and no longer than
// that does.
func TestASignInLink(t *testing.T) {
	g := filled(t)
	c := g.client(true)
	link := func(token string) string {
		t.Helper()
		r := g.do(c, ask{"POST", "/v1/session/links", token, "", nil})
		var made session.Link
		if err := json.Unmarshal([]byte(r.body), &made); r.status != 201 || err != nil || made.Path != "/#/sign-in/"+made.Code {
			t.Fatalf("%d %s", r.status, r.body)
		}
		return made.Code
	}
	use := func(body string) reply { return g.do(c, ask{"POST", "/v1/session", "", body, asJSON}) }
	code := link("viewer")
	if r := use(`{"code":"` + code + `"}`); r.status != 201 || !strings.Contains(r.body, `"viewer"`) || !strings.HasPrefix(r.header.Get("Set-Cookie"), web.SessionCookie+"=") {
		t.Errorf("%d %s", r.status, r.body)
	}
	gone := link("operator")
	if err := g.fleet.Revoke("operator"); err != nil {
		t.Fatal(err)
	}
	for what, body := range map[string]string{
		"again": `{"code":"` + code + `"}`, "made up": `{"code":"x"}`, "of a token that was revoked": `{"code":"` + gone + `"}`,
		"with a token": `{"code":"` + link("viewer") + `","token":"viewer"}`,
	} {
		if r := use(body); r.status != 401 || r.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d %s", what, r.status, r.body)
		}
	}
	for _, who := range []string{"", "controller"} {
		if r := g.do(c, ask{"POST", "/v1/session/links", who, "", nil}); r.status < 400 {
			t.Errorf("%q: %d", who, r.status)
		}
	}
}

// A session is worth as much as its token: it ends when that is revoked.
func TestASessionEndsWithItsToken(t *testing.T) {
	g := filled(t)
	cookie := signIn(t, g, "viewer")
	if err := g.fleet.Revoke("viewer"); err != nil {
		t.Fatal(err)
	}
	if got := g.do(g.client(true), ask{"GET", "/v1/latest", "", "", map[string]string{"Cookie": cookie}}); got.status != 401 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// watching reads the events of a stream as "name data".
func watching(t *testing.T, g *gateway, path, token string, header map[string]string) (next func() (string, bool)) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+g.addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for name, v := range header {
		request.Header.Set(name, v)
	}
	answer, err := g.client(true).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", answer.StatusCode, answer.Header)
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	name := ""
	return func() (string, bool) {
		for lines.Scan() {
			if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				name = event
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return name + " " + data, true
			}
		}
		return "", false
	}
}

func quickly(o *api.Options) { o.Limits.Watch = 5 * time.Millisecond }

// Everything comes once, and then only what changed.
func TestWatch(t *testing.T) {
	g := filled(t, quickly)
	next := watching(t, g, "/v1/watch?controller=pump-17", "viewer", nil)
	var first strings.Builder
	for ticks := 0; ticks < 3; {
		event, ok := next()
		if !ok {
			t.Fatal("the stream ended")
		}
		if strings.HasPrefix(event, "tick ") {
			ticks++
			continue
		}
		if ticks > 0 {
			t.Errorf("nothing changed, and this came: %s", event)
		}
		first.WriteString(event + "\n")
	}
	golden(t, "watch.txt", []byte(first.String()))
}

func TestWatchOfANarrowScope(t *testing.T) {
	g := filled(t, quickly)
	next := watching(t, g, "/v1/watch", "narrow", nil)
	for {
		event, ok := next()
		if !ok {
			t.Fatal("the stream ended")
		}
		if strings.HasPrefix(event, "tick ") {
			return
		}
		if strings.HasPrefix(event, "sinks ") || strings.Contains(event, "tank-") {
			t.Errorf("this is beyond the scope: %s", event)
		}
	}
}

// A gateway that is short of memory ends the pages that are open, says so to those
// that come, and lets them in when it has memory again.
func TestWatchIsDoneWithoutWhenMemoryIsShort(t *testing.T) {
	g := filled(t, quickly)
	next := watching(t, g, "/v1/watch", "viewer", nil)
	if _, ok := next(); !ok {
		t.Fatal("nothing came")
	}
	g.feed.Pause(true)
	for {
		if _, ok := next(); !ok {
			break
		}
	}
	if r := g.do(g.client(true), ask{path: "/v1/watch", token: "viewer"}); r.status != 503 || r.header.Get("Retry-After") == "" || !strings.Contains(r.body, "short of memory") {
		t.Errorf("%d %v %s", r.status, r.header, r.body)
	}
	g.feed.Pause(false)
	if _, ok := watching(t, g, "/v1/watch", "viewer", nil)(); !ok {
		t.Error("nothing comes afterwards")
	}
}

// Who signs out, and who is revoked, sees nothing more.
func TestWatchEndsWithTheSession(t *testing.T) {
	for name, end := range map[string]func(g *gateway, cookie string){
		"signed out": func(g *gateway, cookie string) {
			g.do(g.client(true), ask{"DELETE", "/v1/session", "", "", map[string]string{"Cookie": cookie}})
		},
		"revoked": func(g *gateway, _ string) { _ = g.fleet.Revoke("viewer") },
	} {
		t.Run(name, func(t *testing.T) {
			g := filled(t, quickly)
			cookie := signIn(t, g, "viewer")
			next := watching(t, g, "/v1/watch", "", map[string]string{"Cookie": cookie})
			if _, ok := next(); !ok {
				t.Fatal("nothing came")
			}
			end(g, cookie)
			for ok := true; ok; _, ok = next() {
			}
		})
	}
}
