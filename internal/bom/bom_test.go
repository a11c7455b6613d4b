package bom_test

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/bom"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// licenceFile matches the files that must go along with a module's code.
var licenceFile = regexp.MustCompile(`(?i)^(licen[sc]e|copying|notice|patents)(\.(txt|md))?$`)

// parts returns the modules that the gateway is built from, on every platform,
// with their licences. They lie where the go command keeps them.
func parts(t *testing.T) []bom.Part {
	t.Helper()
	seen := map[string]string{}
	for _, arch := range []string{"amd64", "arm64", "arm"} {
		list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}", "../../cmd/penstock")
		list.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
		out, err := list.Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		for line := range strings.Lines(string(out)) {
			if fields := strings.Fields(line); len(fields) == 3 {
				seen[fields[0]+" "+fields[1]] = fields[2]
			}
		}
	}
	all := []bom.Part{{Module: bom.Module{Path: bom.Library, Version: "-"}, Files: texts(t, runtime.GOROOT())}}
	for _, module := range slices.Sorted(keys(seen)) {
		path, version, _ := strings.Cut(module, " ")
		all = append(all, bom.Part{Module: bom.Module{Path: path, Version: version}, Files: texts(t, seen[module])})
	}
	return all
}

func keys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func texts(t *testing.T, dir string) []bom.File {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var files []bom.File
	for _, e := range entries {
		if e.Type().IsRegular() && licenceFile.MatchString(e.Name()) {
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, bom.File{Name: e.Name(), Text: string(text)})
		}
	}
	return files
}

// TestLicencesAreUpToDate holds THIRD_PARTY.txt to what the gateway is built from.
func TestLicencesAreUpToDate(t *testing.T) {
	text, err := bom.Generate(parts(t))
	if err != nil {
		t.Fatal(err)
	}
	testkit.GoldenFile(t, "THIRD_PARTY.txt", []byte(text))
	if licences, err := bom.Licences(); err != nil || len(licences) < 40 || licences["github.com/spf13/cobra"] != "Apache-2.0" {
		t.Errorf("%d licences, %v", len(licences), err)
	}
}

// TestOfAProgram builds the gateway, and holds its bill of materials against what
// the go command reads in the binary.
func TestOfAProgram(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "penstock")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", binary, "../../cmd/penstock")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sbom, err := exec.Command(binary, "version", "--sbom").Output()
	if err != nil {
		t.Fatal(err)
	}
	again, err := exec.Command(binary, "version", "--sbom").Output()
	if err != nil || !bytes.Equal(sbom, again) {
		t.Errorf("the second one differs: %v", err)
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		BOMFormat   string
		SpecVersion string
		Components  []struct {
			Name, Version string
			PURL          string
			Licenses      []struct{ Expression string }
			Hashes        []struct{ Content string }
		}
	}
	if err := json.Unmarshal(sbom, &d); err != nil || d.BOMFormat != "CycloneDX" || d.SpecVersion != "1.6" {
		t.Fatalf("%+v, %v", d, err)
	}
	var got, want []string
	for _, c := range d.Components {
		if len(c.Licenses) != 1 {
			t.Errorf("%s has no licence", c.Name)
		}
		if c.Name == bom.Library {
			if "go"+c.Version != info.GoVersion || c.PURL != "pkg:golang/std@"+c.Version {
				t.Errorf("the library is %+v", c)
			}
			continue
		}
		if len(c.Hashes) != 1 || len(c.Hashes[0].Content) != 64 {
			t.Errorf("%s has the hashes %v", c.Name, c.Hashes)
		}
		got = append(got, c.Name+" v"+c.Version)
	}
	for _, dep := range info.Deps {
		want = append(want, dep.Path+" "+dep.Version)
	}
	if len(want) < 40 || !slices.Equal(got, want) {
		t.Errorf("the bill is %q\nthe binary has %q", got, want)
	}
}

func TestModulesThatWereReplaced(t *testing.T) {
	info := &debug.BuildInfo{GoVersion: "go1.26.8 X:nodwarf5", Deps: []*debug.Module{
		{Path: "example.org/a", Version: "v1.0.0", Replace: &debug.Module{Path: "example.org/fork", Version: "v1.1.0", Sum: "h1:x"}},
	}}
	want := []bom.Module{{Path: bom.Library, Version: "1.26.8"}, {Path: "example.org/fork", Version: "1.1.0", Sum: "h1:x"}}
	if got := bom.Modules(info); !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}

func record(id, more, module, events string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(`{"id":"` + id + `","modified":"2026-08-21T10:00:00Z","summary":"It breaks",` + more +
		`"affected":[{"package":{"name":"` + module + `","ecosystem":"Go"},"ranges":[{"type":"SEMVER","events":[` + events + `]}]}]}`)}
}

func TestVulnerable(t *testing.T) {
	database := fstest.MapFS{
		"data/osv/GO-2026-0001.json": record("GO-2026-0001", `"aliases":["CVE-2026-1"],`, "example.org/a", `{"introduced":"0"},{"fixed":"1.2.3"}`),
		"data/osv/GO-2026-0002.json": record("GO-2026-0002", ``, "example.org/a", `{"introduced":"0"},{"fixed":"1.2.0"}`),
		"data/osv/GO-2026-0003.json": record("GO-2026-0003", ``, "example.org/a", `{"introduced":"1.3.0"}`),
		"data/osv/GO-2026-0004.json": record("GO-2026-0004", ``, "example.org/a", `{"introduced":"1.0.0"},{"fixed":"1.1.0"},{"introduced":"1.2.0"}`),
		"data/osv/GO-2026-0005.json": record("GO-2026-0005", `"withdrawn":"2026-08-01T00:00:00Z",`, "example.org/a", `{"introduced":"0"}`),
		"data/osv/GO-2026-0006.json": record("GO-2026-0006", ``, "example.org/other", `{"introduced":"0"}`),
		"data/osv/GO-2026-0007.json": record("GO-2026-0007", ``, "stdlib", `{"introduced":"0"},{"fixed":"1.25.9"},{"introduced":"1.26.0-0"},{"fixed":"1.26.9"}`),
		"data/osv/GO-2026-0008.json": {Data: []byte(`{"id":"GO-2026-0008","modified":"0001-01-01T00:00:00Z","published":"2021-08-22T10:00:00Z"}`)},
		"index/db.json":              {Data: []byte("{}")},
	}
	modules := []bom.Module{{Path: bom.Library, Version: "1.26.8"}, {Path: "example.org/a", Version: "1.2.2"}}
	found, d, err := bom.Vulnerable(modules, database)
	if err != nil || d.Entries != 8 || !d.Date.Equal(time.Date(2026, 8, 21, 10, 0, 0, 0, time.UTC)) || d.Newest != "GO-2026-0008" {
		t.Fatalf("%+v, %v", d, err)
	}
	var got []string
	for _, v := range found {
		got = append(got, v.ID+" "+v.Module+" "+v.Fixed)
	}
	if want := []string{"GO-2026-0001 example.org/a 1.2.3", "GO-2026-0004 example.org/a ", "GO-2026-0007 stdlib 1.26.9"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for name, bad := range map[string]fstest.MapFS{
		"empty": {}, "broken": {"GO-1.json": {Data: []byte("{")}}, "huge": {"GO-1.json": {Data: make([]byte, 9<<20)}},
	} {
		if _, _, err := bom.Vulnerable(modules, bad); penstock.CodeOf(err) == penstock.Internal || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzVulnerable(f *testing.F) {
	f.Add(string(record("GO-1", "", "example.org/a", `{"introduced":"1.0.0-rc.1+x"}`).Data), "1.0.0")
	f.Fuzz(func(t *testing.T, text, version string) {
		found, _, err := bom.Vulnerable([]bom.Module{{Path: "example.org/a", Version: version}}, fstest.MapFS{"GO-1.json": {Data: []byte(text)}})
		if err == nil && len(found) > 1 {
			t.Fatalf("one entry gave %d", len(found))
		}
	})
}
