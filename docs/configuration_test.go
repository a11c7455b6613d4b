// Package docs_test holds what the documents show against the program.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/supervise"
)

var (
	yamlBlock  = regexp.MustCompile("(?ms)^(<!-- programs -->\n)?```yaml\n(.*?)^```$")
	secretFile = regexp.MustCompile(`file:([\w.-]+)`)
)

// TestConfigurations loads every configuration that a document shows, as serve
// would, or as supervise would one with the mark <!-- programs --> above it.
func TestConfigurations(t *testing.T) {
	shown := 0
	for _, document := range documents(t) {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range yamlBlock.FindAllSubmatch(text, -1) {
			shown++
			file := filepath.Join(t.TempDir(), "penstock.yaml")
			if err := os.WriteFile(file, block[2], 0o600); err != nil {
				t.Fatal(err)
			}
			for _, secret := range secretFile.FindAllSubmatch(block[2], -1) {
				if err := os.WriteFile(filepath.Join(filepath.Dir(file), string(secret[1])), []byte("a secret"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			gateway, programs := settings.Default(), supervise.DefaultConfig()
			var into any = &gateway
			if len(block[1]) > 0 {
				into = &programs
			}
			if _, err := config.Load(into, config.Sources{File: file}); err != nil {
				t.Errorf("%s shows a configuration that is wrong: %v", document, err)
			}
		}
	}
	if shown == 0 {
		t.Error("no document shows a configuration")
	}
}

// documents returns the paths of the README, of CONTRIBUTING and of all documents
// below this directory.
func documents(t *testing.T) []string {
	t.Helper()
	found := []string{"../README.md", "../CONTRIBUTING.md"}
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
