package web

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/penstock/penstock"
)

type wish struct {
	Name  string   `json:"name"`
	Scope []string `json:"scope,omitempty"`
}

func FuzzStrictJSON(f *testing.F) {
	for _, s := range []string{`{"name":"a","scope":["b"]}`, `{"name":"a","name":"b"}`, `{"Name":"a"}`, `{} {}`, `[]`, `null`, `{"name":{"x":1}}`, "{\"name\":\"\xff\"}", `{"name":1e400}`, strings.Repeat("[", 100)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var w wish
		if err := strictJSON(b, &w); err != nil {
			if penstock.CodeOf(err) != penstock.Invalid {
				t.Fatalf("%v has the code %v", err, penstock.CodeOf(err))
			}
			return
		}
		// What passed is one object with known keys in the case they are written in.
		var m map[string]any
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatalf("%s passed: %v", b, err)
		}
		delete(m, "name")
		delete(m, "scope")
		if len(m) > 0 {
			t.Fatalf("%s passed with %v", b, m)
		}
	})
}
