package console_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/console"
)

func ask(t *testing.T, c *console.Console, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

func open(t *testing.T) *console.Console {
	t.Helper()
	c, err := console.New()
	if err != nil {
		t.Fatal(err)
	}
	if !c.Whole() {
		t.Fatal("the pages are not built: run 'make console'")
	}
	return c
}

// A phone on a bad network loads the page.
func TestTheFirstLoadIsSmall(t *testing.T) {
	const limit = 150_000
	c := open(t)
	page := ask(t, c, "/", "Accept-Encoding", "gzip")
	size := page.Body.Len()
	r, err := gzip.NewReader(page.Body)
	if err != nil {
		t.Fatal(err)
	}
	html, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	parts := regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllStringSubmatch(string(html), -1)
	if len(parts) < 3 {
		t.Fatalf("the page has %d parts: %s", len(parts), html)
	}
	for _, part := range parts {
		w := ask(t, c, part[1], "Accept-Encoding", "gzip, br")
		if w.Code != 200 || w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: %d %v", part[1], w.Code, w.Header())
		}
		size += w.Body.Len()
	}
	t.Logf("%d bytes", size)
	if size > limit {
		t.Errorf("the first load is %d bytes, and %d are allowed", size, limit)
	}
}

// Nothing stands in the page itself, and nothing comes from elsewhere.
func TestThePageKeepsItsPolicy(t *testing.T) {
	w := ask(t, open(t), "/")
	for _, never := range []string{"http:", "https:", "<style", "style=", "onload", "<script>"} {
		if strings.Contains(w.Body.String(), never) {
			t.Errorf("the page has %s: %s", never, w.Body)
		}
	}
	policy := w.Header().Get("Content-Security-Policy")
	for _, never := range []string{"unsafe", "http", "*", "data:"} {
		if strings.Contains(policy, never) {
			t.Errorf("the policy has %s: %s", never, policy)
		}
	}
}

func TestFiles(t *testing.T) {
	c := open(t)
	first := ask(t, c, "/")
	if first.Header().Get("Content-Type") != "text/html; charset=utf-8" || first.Header().Get("Cache-Control") != "no-cache" {
		t.Errorf("%v", first.Header())
	}
	if again := ask(t, c, "/", "If-None-Match", first.Header().Get("Etag")); again.Code != 304 || again.Body.Len() > 0 {
		t.Errorf("%d with %d bytes", again.Code, again.Body.Len())
	}
	if licences := ask(t, c, "/assets/licences.md"); !strings.Contains(licences.Body.String(), "uplot") || licences.Header().Get("Cache-Control") != "no-cache" {
		t.Errorf("%d %v", licences.Code, licences.Header())
	}
	for _, path := range []string{"/.gitignore", "/assets/", "/assets/../index.html", "/dist/index.html", "/assets/nothing"} {
		if w := ask(t, c, path); w.Code != 404 || w.Body.Len() > 0 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	r := httptest.NewRequest(http.MethodHead, "/", nil)
	w := httptest.NewRecorder()
	if c.ServeHTTP(w, r); w.Code != 200 || w.Body.Len() > 0 {
		t.Errorf("HEAD: %d with %d bytes", w.Code, w.Body.Len())
	}
}
