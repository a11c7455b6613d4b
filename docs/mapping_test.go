package docs_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/reportjson"
)

// tried is a payload with the mark <!-- decode: NAME … --> above it, and what a
// document says becomes of it. The name is that of a mapping, or source=NAME.
var tried = regexp.MustCompile("(?ms)^<!-- decode: ([^\n]*) -->\n```[a-z]*\n(.*?)^```\n\n```ndjson\n(.*?)^```$")

// TestMappings decodes every payload that a document shows, by the configuration
// that stands above it.
func TestMappings(t *testing.T) {
	shown := 0
	for _, document := range documents(t) {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range tried.FindAllSubmatchIndex(text, -1) {
			shown++
			part := func(i int) string { return string(text[at[2*i]:at[2*i+1]]) }
			blocks := yamlBlock.FindAllSubmatch(text[:at[0]], -1)
			if len(blocks) == 0 {
				t.Fatalf("%s: no configuration stands above %q", document, part(1))
			}
			if got := decodeShown(t, blocks[len(blocks)-1][2], strings.Fields(part(1)), part(2)); got != part(3) {
				t.Errorf("%s: %s gives\n%s\nand not\n%s", document, part(1), got, part(3))
			}
		}
	}
	if shown == 0 {
		t.Error("no document shows a payload")
	}
}

// decodeShown returns what becomes of a payload, in NDJSON; what cannot be read
// stands in a line of its own with # before it.
func decodeShown(t *testing.T, yaml []byte, marks []string, payload string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "penstock.yaml")
	if err := os.WriteFile(file, yaml, 0o600); err != nil {
		t.Fatal(err)
	}
	c := settings.Default()
	if _, err := config.Load(&c, config.Sources{File: file}); err != nil {
		t.Fatal(err)
	}
	p := settings.Payload{Mapping: marks[0], Envelope: penstock.Envelope{Body: []byte(payload)}}
	for _, mark := range marks {
		if name, ok := strings.CutPrefix(mark, "source="); ok {
			p.Mapping, p.Source = "", name
		}
		if topic, ok := strings.CutPrefix(mark, "topic="); ok {
			p.Envelope.Topic = topic
		}
		if mark == "hex" {
			body, err := hex.DecodeString(strings.Join(strings.Fields(payload), ""))
			if err != nil {
				t.Fatal(err)
			}
			p.Envelope.Body = body
		}
	}
	var out []byte
	err := c.Try(p, func(d settings.Tried) error {
		if d.Err != nil {
			out = append(out, "# "+d.Err.Error()+"\n"...)
			return nil
		}
		line, err := reportjson.AppendReport(out, d.Report)
		out = append(line, '\n')
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
