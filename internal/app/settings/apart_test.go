package settings_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/config"
)

var (
	examples = regexp.MustCompile("(?s)```yaml\n(.*?)```")
	secrets  = regexp.MustCompile(`file:([a-z.]+)`)
)

// What a source apart is made from is what stands in the configuration: tried with
// all examples of the documentation.
func TestSettingsCrossWhole(t *testing.T) {
	pages, err := filepath.Glob("../../../docs/protocols/*.md")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, example := range examples.FindAllSubmatch(text, -1) {
			if bytes.Contains(example[1], []byte("sources:\n")) {
				cross(t, kinds, page, example[1])
			}
		}
	}
	if len(kinds) < 7 {
		t.Errorf("the examples have sources of %d kinds alone", len(kinds))
	}
}

// cross carries the sources of an example over.
func cross(t *testing.T, kinds map[string]bool, page string, example []byte) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "penstock.yaml")
	put := func(name string, text []byte) {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(file, example)
	for _, s := range secrets.FindAllSubmatch(example, -1) {
		put(filepath.Join(dir, string(s[1])), s[1])
	}
	c := settings.Default()
	if _, err := config.Load(&c, config.Sources{File: file}); err != nil {
		t.Errorf("%s: %v", page, err)
		return
	}
	for i := range c.Sources {
		text, err := config.Carry(&c.Sources[i])
		if err != nil {
			t.Fatal(err)
		}
		kinds[fmt.Sprintf("%T", c.Sources[i].Settings())] = true
		var got settings.Source
		if err := config.Receive(text, &got); err != nil {
			t.Errorf("%s: %s: %v\n%s", page, c.Sources[i].Name, err, text)
		} else if !reflect.DeepEqual(got, c.Sources[i]) {
			t.Errorf("%s: %+v came, and %+v was sent", page, got.Settings(), c.Sources[i].Settings())
		}
	}
}

// The key of the node's certificate stays in the gateway's process.
func TestTheNodesCertificateIsNotLent(t *testing.T) {
	c := settings.Default()
	_, err := config.Load(&c, config.Sources{Set: []string{`sources=[{name: a, apart: true, syslog: {tls: "127.0.0.1:0", controllers: ["*"]}}]`}})
	if err == nil || !strings.Contains(err.Error(), "apart") || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("the error is %v", err)
	}
}
