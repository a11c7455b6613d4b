package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/config"
)

// The configuration of a small imaginary program, with every form of value.
type plant struct {
	Data   string            `yaml:"data" jsonschema_description:"directory of the data"`
	Listen listen            `yaml:"listen" jsonschema_description:"where to listen"`
	Sinks  map[string]sink   `yaml:"sinks" jsonschema_description:"destinations by name"`
	Points []point           `yaml:"points" jsonschema_description:"declared points"`
	Keep   config.Duration   `yaml:"keep" jsonschema_description:"how long a | b is kept"`
	Every  time.Duration     `yaml:"every"`
	Limit  limits            `yaml:",inline"`
	Labels map[string]string `yaml:"labels"`
	Steps  steps             `yaml:"steps"`
	Hidden string            `yaml:"-"`
}

type listen struct {
	HTTPS  config.Address `yaml:"https" jsonschema_description:"the API"`
	Health config.Address `yaml:"health"`
}

// Validate requires the health port to be apart from the API's.
func (l listen) Validate() error {
	if l.HTTPS == l.Health && !l.Health.Off() {
		return errors.New("health: must differ from https")
	}
	return nil
}

type sink struct {
	URL      string        `yaml:"url"`
	Password config.Secret `yaml:"password"`
	Batch    config.Size   `yaml:"batch"`
	Enabled  bool          `yaml:"enabled"`
}

// SetDefaults gives every new sink its batch size.
func (s *sink) SetDefaults() { s.Batch = 1 << 20 }

// Validate reports two problems at once.
func (s *sink) Validate() error {
	if s.URL != "" {
		return nil
	}
	return errors.Join(errors.New("url: is required"), fmt.Errorf("a sink needs a destination"))
}

type point struct {
	Name string   `yaml:"name"`
	Min  *float64 `yaml:"min"`
}

type limits struct {
	Rate  uint16 `yaml:"rate"`
	Shift int8   `yaml:"shift"`
	Big   int64  `yaml:"big"`
}

// steps decodes itself: a list of names, or of single-key maps.
type steps []string

// UnmarshalYAML implements the interface of goccy/go-yaml.
func (s *steps) UnmarshalYAML(decode func(any) error) error {
	var entries []any
	if err := decode(&entries); err != nil {
		return err
	}
	*s = steps{}
	for _, e := range entries {
		name, ok := e.(string)
		if !ok {
			return fmt.Errorf("step %v is no name", e)
		}
		*s = append(*s, name)
	}
	return nil
}

// Validate wants "decode" at the end, which is not there after an error.
func (s steps) Validate() error {
	if len(s) > 0 && s[len(s)-1] != "decode" {
		return errors.New("the last step is not decode")
	}
	return nil
}

func defaults() plant {
	return plant{Data: "penstock-data", Listen: listen{HTTPS: ":8080", Health: "127.0.0.1:3000"}, Keep: config.Duration(72 * time.Hour)}
}

// load writes the text to penstock.yaml in a directory of its own, which becomes
// the working directory, and loads it.
func load(t *testing.T, text string, from config.Sources) (plant, *config.Loaded, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	return loadHere(t, text, from)
}

func loadHere(t *testing.T, text string, from config.Sources) (plant, *config.Loaded, error) {
	t.Helper()
	from.File = "penstock.yaml"
	write(t, from.File, text)
	p := defaults()
	loaded, err := config.Load(&p, from)
	return p, loaded, err
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
