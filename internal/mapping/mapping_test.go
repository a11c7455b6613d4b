package mapping_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/mapping"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/internal/testkit"
)

// load compiles a mapping from YAML, as the gateway does.
func load(t testing.TB, yaml []byte) (*mapping.Mapping, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "m.yaml")
	if err := os.WriteFile(file, yaml, 0o600); err != nil {
		t.Fatal(err)
	}
	var c mapping.Config
	if _, err := config.Load(&c, config.Sources{File: file}); err != nil {
		return nil, fmt.Errorf("%s", strings.ReplaceAll(err.Error(), file, "m.yaml"))
	}
	return mapping.New("m", c)
}

// show writes what became of an envelope.
func show(m *mapping.Mapping, e *penstock.Envelope) []byte {
	var out []byte
	err := m.Decode(e, func(d mapping.Decoded) error {
		if d.Err != nil {
			out = fmt.Appendf(out, "refused: %v\n", d.Err)
			return nil
		}
		line, err := reportjson.AppendReport(nil, d.Report)
		if err != nil {
			return err
		}
		out = append(append(out, bytes.ReplaceAll(line, []byte(`{"point"`), []byte("\n  {\"point\""))...), '\n')
		for _, s := range d.Signals {
			out = fmt.Appendf(out, "%s %v %s\n", s.Quantity, s.Value, s.Quantity.Unit())
		}
		return nil
	})
	if err != nil {
		out = fmt.Appendf(out, "error: %s: %v\n", penstock.CodeOf(err), err)
	}
	return out
}

// TestPayloads decodes payloads as vendors send them. An archive holds the
// mapping, any number of payloads, and what becomes of each.
func TestPayloads(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m, err := load(t, archive.Files[0].Data)
			if err != nil {
				t.Fatal(err)
			}
			kept := archive.Files[:1:1]
			for _, f := range archive.Files[1:] {
				if strings.HasPrefix(f.Name, "want ") {
					continue
				}
				kept = append(kept, f, txtar.File{Name: "want " + f.Name, Data: show(m, envelope(t, f))})
			}
			testkit.GoldenFile(t, file, txtar.Format(&txtar.Archive{Comment: archive.Comment, Files: kept}))
		})
	}
}

// envelope returns the envelope of a payload: its name may say the topic, and
// that it is written in hexadecimal.
func envelope(t testing.TB, f txtar.File) *penstock.Envelope {
	e := &penstock.Envelope{Source: "test", Peer: "192.0.2.7:4001", Body: f.Data, Properties: penstock.Properties{"epoch": "3", "seq": "9"}}
	for _, word := range strings.Fields(f.Name) {
		if topic, ok := strings.CutPrefix(word, "topic="); ok {
			e.Topic = topic
		}
		if word == "hex" {
			body, err := hex.DecodeString(strings.Join(strings.Fields(string(f.Data)), ""))
			if err != nil {
				t.Fatal(err)
			}
			e.Body = body
		}
	}
	return e
}

// TestMistakes loads mappings that are wrong: an archive holds one and what is
// said about it.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		kept := make([]txtar.File, 0, 2*len(archive.Files))
		for _, f := range archive.Files {
			if strings.HasPrefix(f.Name, "want ") {
				continue
			}
			_, err := load(t, f.Data)
			if err == nil {
				t.Errorf("%s: %s was taken", file, f.Name)
				err = fmt.Errorf("nothing")
			}
			kept = append(kept, f, txtar.File{Name: "want " + f.Name, Data: []byte(err.Error() + "\n")})
		}
		testkit.GoldenFile(t, file, txtar.Format(&txtar.Archive{Files: kept}))
	}
}
