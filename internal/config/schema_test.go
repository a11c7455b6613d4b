package config_test

import (
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/penstock/penstock/internal/config"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		write(t, path, string(got))
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs (go test -update writes it anew):\n%s", path, got)
	}
}

func TestSchema(t *testing.T) {
	p := defaults()
	got, err := config.Schema(&p)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(got) {
		t.Error("the schema is no JSON")
	}
	golden(t, "schema.json", got)
}

func TestReference(t *testing.T) {
	p := defaults()
	golden(t, "reference.md", config.Reference(&p))
}

// What is printed, without its comments, loads as the same configuration.
func TestPrintLoadsAgain(t *testing.T) {
	p, loaded, err := load(t, "data: 'a: b'\nlisten: {health: off}\nsinks: {x: {url: u}}\npoints: [{name: '7'}]\n", config.Sources{Set: []string{"rate=7"}})
	if err != nil {
		t.Fatal(err)
	}
	printed, err := config.Print(&p, loaded)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := loadHere(t, string(printed), config.Sources{})
	if err == nil {
		_, err = config.Print(&again, loaded)
	}
	if err != nil || again.Data != p.Data || again.Points[0].Name != "7" || again.Limit != p.Limit || again.Sinks["x"] != p.Sinks["x"] {
		t.Errorf("printed\n%s\nloads as %+v, %v", printed, again, err)
	}
}
