package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/penstock/penstock"
)

// built is what the build put there; nothing but a hidden file before the first.
//
//go:embed all:dist
var built embed.FS

//go:embed placeholder.html
var placeholder []byte

// index is the one page.
const index = "index.html"

// Policy is what a page may load: its own scripts and styles and the API, and
// nothing from elsewhere, and nothing that stands in the page itself.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Console serves the pages. It never changes and is safe for concurrent use.
type Console struct {
	files map[string]file
	whole bool
}

// file is one file, ready to be sent.
type file struct {
	media  string
	plain  []byte
	packed []byte // gzip; nil where that is no smaller
	etag   string
	hashed bool // its name changes with its content
}

// New reads what was embedded.
func New() (*Console, error) {
	c := &Console{files: map[string]file{}}
	err := fs.WalkDir(built, "dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		content, err := built.ReadFile(name)
		if err != nil {
			return err
		}
		c.files[strings.TrimPrefix(name, "dist/")], err = prepare(name, content)
		return err
	})
	if err != nil {
		return nil, penstock.Errorf(penstock.Internal, "the console's files: %w", err)
	}
	if _, c.whole = c.files[index]; !c.whole {
		c.files[index], err = prepare(index, placeholder)
	}
	return c, err
}

// Whole tells whether the binary was built with its pages. Without them the one
// page says how to build it.
func (c *Console) Whole() bool { return c.whole }

func prepare(name string, content []byte) (file, error) {
	sum := sha256.Sum256(content)
	f := file{
		media: mediaOf(name), plain: content, etag: `"` + hex.EncodeToString(sum[:12]) + `"`,
		hashed: strings.Contains(name, "assets/index-") || strings.Contains(name, "assets/icon-"),
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return f, err
	}
	if _, err := w.Write(content); err != nil {
		return f, err
	}
	if err := w.Close(); err != nil {
		return f, err
	}
	if packed.Len() < len(content) {
		f.packed = packed.Bytes()
	}
	return f, nil
}

// mediaOf does not ask the machine, whose tables differ.
func mediaOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "text/plain; charset=utf-8"
}

// ServeHTTP answers with the file that the path names, and with the page at /. A
// file that is not there is answered with 404 and an empty body.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" {
		name = index
	}
	f, ok := c.files[name]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", Policy)
	h.Set("Etag", f.etag)
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "no-cache")
	if f.hashed {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if r.Header.Get("If-None-Match") == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.media)
	body := f.plain
	if f.packed != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = f.packed
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		// Who is gone does not read it, which harms nobody else.
		_, _ = w.Write(body)
	}
}
