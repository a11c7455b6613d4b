package support_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/support"
)

// Secrets of every kind, put into every file, are in none of them.
func TestNoSecretLeaves(t *testing.T) {
	canaries := []string{
		"canary-known-5c1d", "pst_canaryToken123", "canaryBearer456789", "canaryPassword", "canaryPrivateKey",
	}
	text := "known canary-known-5c1d, token pst_canaryToken123, Authorization: Bearer canaryBearer456789, " +
		"amqp://guest:canaryPassword@broker.example:5672/\n-----BEGIN EC PRIVATE KEY-----\ncanaryPrivateKey\n-----END EC PRIVATE KEY-----\nstays"
	parts := support.Parts{
		Version: "1.2.3", Now: time.Now,
		Config:  func() ([]byte, error) { return []byte(text), nil },
		Metrics: func(w io.Writer) error { _, err := io.WriteString(w, text); return err },
		Log:     func() []byte { return []byte(strings.Repeat("x", 5<<20) + text) },
		Facts:   map[string]func() any{"health": func() any { return text }, "wrong": func() any { return func() {} }},
		Secrets: func(yield func([]byte)) { yield([]byte("canary-known-5c1d")) },
	}
	var written bytes.Buffer
	if err := support.Write(&written, parts); err != nil {
		t.Fatal(err)
	}
	files := unpack(t, &written)
	for name, content := range files {
		for _, canary := range canaries {
			if strings.Contains(content, canary) {
				t.Errorf("%s holds %s", name, canary)
			}
		}
	}
	for name, want := range map[string]string{
		"config.yaml": "stays", "metrics.txt": "broker.example", "log.ndjson": "stays", "health.json": "stays",
		"version.json": `"version": "1.2.3"`, "goroutines.txt": "goroutine profile", "wrong.json.error.txt": "unsupported type",
	} {
		if !strings.Contains(files["penstock-support/"+name], want) {
			t.Errorf("%s is %.200q", name, files["penstock-support/"+name])
		}
	}
	parts.Config = func() ([]byte, error) { return nil, errors.New("no such key") }
	written.Reset()
	if err := support.Write(&written, parts); err != nil || !strings.Contains(unpack(t, &written)["penstock-support/config.yaml.error.txt"], "no such key") {
		t.Errorf("a part that fails takes the others with it: %v", err)
	}
}

func unpack(t *testing.T, from io.Reader) map[string]string {
	t.Helper()
	zipped, err := gzip.NewReader(from)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(zipped); ; {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[head.Name] = string(content)
	}
}
