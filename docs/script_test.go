package docs_test

import (
	"log/slog"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/internal/script"
)

// scripted is a script with the mark <!-- script --> above it, the reports that a
// document shows below it, and what it says becomes of them.
var scripted = regexp.MustCompile("(?s)<!-- script -->\n```js\n(.*?)```\n.*?```ndjson\n(.*?)```\n.*?```ndjson\n(.*?)```\n")

// TestScripts runs every script that a document shows on the reports below it.
func TestScripts(t *testing.T) {
	shown := 0
	for _, document := range documents(t) {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, parts := range scripted.FindAllSubmatch(text, -1) {
			shown++
			if got := runShown(t, string(parts[1]), parts[2]); got != string(parts[3]) {
				t.Errorf("%s: the script gives\n%s\nand not\n%s", document, got, parts[3])
			}
		}
	}
	if shown == 0 {
		t.Error("no document shows a script")
	}
}

// runShown returns what a script makes of the reports, in NDJSON; what it drops, or
// fails on, stands in a line of its own with # before it.
func runShown(t *testing.T, source string, reports []byte) string {
	t.Helper()
	states, err := script.OpenStates(nil)
	if err != nil {
		t.Fatal(err)
	}
	o := script.Options{Config: *script.Default(), Source: source, States: states, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	o.Config.File, o.Config.Workers = "clean.js", 1
	o.Config.Timeout = config.Duration(10 * time.Second) // other tests may keep the processors busy
	engine, err := script.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close() // it has nothing under way
	var out []byte
	var d reportjson.Decoder
	for _, line := range reportjson.Lines(reports) {
		var r penstock.Report
		if err := d.DecodeLine(line, &r); err != nil {
			t.Fatal(err)
		}
		got, err := engine.Run(t.Context(), &r)
		switch {
		case err != nil:
			t.Fatal(err)
		case got.Fault != nil:
			out = append(out, "# "+got.Fault.Error()+"\n"...)
			continue
		case got.Dropped:
			out = append(out, "# dropped\n"...)
			continue
		case got.Changed:
			r.Samples = got.Samples
		}
		if out, err = reportjson.AppendReport(out, &r); err != nil {
			t.Fatal(err)
		}
		out = append(out, '\n')
	}
	return string(out)
}
