package config

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/invopop/jsonschema"
)

// Secret is a text that never shows itself: printing, logging and marshalling
// give a placeholder. "file:PATH" refers to a file that holds the text; [Load]
// reads it, relative to the configuration file.
type Secret struct {
	value string
	file  string // the reference, for print; empty when the text stood in the configuration
}

const (
	redacted   = "[redacted]"
	filePrefix = "file:"
	maxSecret  = 64 << 10
)

// NewSecret returns a secret of the text.
func NewSecret(text string) Secret { return Secret{value: text} }

// Reveal returns the text itself. Who calls it keeps it out of logs and errors.
func (s Secret) Reveal() string { return s.value }

// Set tells whether there is a text.
func (s Secret) Set() bool { return s.value != "" || s.file != "" }

// UnmarshalText keeps the text, or the reference to a file.
func (s *Secret) UnmarshalText(text []byte) error {
	written := string(text)
	if path, found := strings.CutPrefix(written, filePrefix); found {
		if path == "" {
			return fmt.Errorf("%q names no file", filePrefix)
		}
		*s = Secret{file: path}
		return nil
	}
	*s = Secret{value: written}
	return nil
}

// resolve reads the file that the secret refers to.
func (s *Secret) resolve(read func(path string) ([]byte, error)) error {
	if s.file == "" {
		return nil
	}
	content, err := read(s.file)
	if err != nil {
		return fmt.Errorf("the secret's file cannot be read: %w", err)
	}
	text := strings.TrimRight(string(content), "\r\n")
	if text == "" || len(content) > maxSecret {
		return fmt.Errorf("the secret's file %s must hold 1 to %d bytes, it has %d", s.file, maxSecret, len(content))
	}
	s.value = text
	return nil
}

// String returns a placeholder, the reference to a file, or "" when not set.
func (s Secret) String() string {
	switch {
	case s.file != "":
		return filePrefix + s.file
	case s.value != "":
		return redacted
	}
	return ""
}

// Format prints what String returns, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText returns what String returns.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue returns what String returns.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// JSONSchema describes the type to editors.
func (Secret) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", WriteOnly: true, Examples: []any{"file:/etc/penstock/password"}}
}
