package config_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/config"
)

func TestLoadReadsEveryForm(t *testing.T) {
	low := -1.5
	got, _, err := load(t, `
data: /srv/penstock
listen:
  https: "[::1]:8443"
  health: off
sinks:
  pg: {url: postgres://db/x, password: hunter2, batch: 1.5GiB, enabled: true}
points:
- name: 017
  min: -1.5
- name: "true"
keep: 1w2d3h
every: 250ms
rate: 0x10
shift: -128
big: 9223372036854775807
labels: {site: north}
steps: [authenticate, decode]
`, config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	want := plant{
		Data: "/srv/penstock", Listen: listen{HTTPS: "[::1]:8443", Health: "off"},
		Sinks:  map[string]sink{"pg": {URL: "postgres://db/x", Password: config.NewSecret("hunter2"), Batch: 3 << 29, Enabled: true}},
		Points: []point{{Name: "017", Min: &low}, {Name: "true"}},
		Keep:   config.Duration(9*24*time.Hour + 3*time.Hour), Every: 250 * time.Millisecond,
		Limit:  limits{Rate: 16, Shift: -128, Big: 1<<63 - 1},
		Labels: map[string]string{"site": "north"}, Steps: steps{"authenticate", "decode"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestLoadPrecedence(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, ".env", "# comment\nexport PENSTOCK_LISTEN_HTTPS=':2'\nPENSTOCK_RATE=2 # two\nPENSTOCK_BIG=\"2\"\nOTHER=1\n")
	got, loaded, err := loadHere(t, "listen: {https: ':1', health: ':1000'}\nrate: 1\nbig: 1\nshift: 1\nsinks: {a: {url: u}, b: {url: v}}\n", config.Sources{
		DotEnv:  ".env",
		Environ: []string{"PENSTOCK_RATE=3", "PENSTOCK_BIG=3", "HOME=/root", "PENSTOCK_SHIFT=", "PENSTOCK_TOKEN=x"},
		Set: []string{"big=4", "sinks.b.batch=2KiB", "labels.x=y: z", "points=[{name: p}]", "listen.health=[::1]:3000",
			`data="quoted"`},
		Reserved: []string{"PENSTOCK_TOKEN"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"shift": "penstock.yaml:4:8", "listen.https": ".env:2:1", "rate": "environment PENSTOCK_RATE", "big": "--set big", "keep": "default",
	} {
		if where := loaded.Where(key); where != want {
			t.Errorf("%s comes from %q, want %q", key, where, want)
		}
	}
	wantSinks := map[string]sink{"a": {URL: "u", Batch: 1 << 20}, "b": {URL: "v", Batch: 2 << 10}}
	if !reflect.DeepEqual(got.Sinks, wantSinks) {
		t.Errorf("maps do not merge: %+v", got.Sinks)
	}
	wantListen := listen{HTTPS: ":2", Health: "[::1]:3000"}
	if got.Listen != wantListen || got.Limit != (limits{Rate: 3, Shift: 1, Big: 4}) || got.Data != "quoted" {
		t.Errorf("got %+v %+v %q", got.Listen, got.Limit, got.Data)
	}
	if got.Labels["x"] != "y: z" || len(got.Points) != 1 || got.Points[0].Name != "p" {
		t.Errorf("--set of a map's key or a list: %+v %+v", got.Labels, got.Points)
	}
	if len(loaded.Warnings) != 0 {
		t.Errorf("warnings: %q", loaded.Warnings)
	}
}

func TestLoadNamesTheProblem(t *testing.T) {
	tests := []struct {
		name, yaml string
		from       config.Sources
		want       string
	}{
		{"unknown key", "listen:\n  htps: x\n", config.Sources{}, "penstock.yaml:2:3: listen.htps: unknown key; did you mean https?\n  2 |   htps: …\n    |   ^"},
		{"key of another section", "health: x\n", config.Sources{}, "penstock.yaml:1:1: health: unknown key; did you mean listen.health?"},
		{"nothing near", "listen: {zzzzzz: 1}\n", config.Sources{}, "known here: https, health"},
		{"duplicate", "data: a\ndata: b\n", config.Sources{}, "penstock.yaml:2:1: data: is given already in line 1"},
		{"bool", "sinks: {a: {url: u, enabled: yes}}\n", config.Sources{}, `sinks.a.enabled: needs true or false, not "yes"`},
		{"quoted number", "rate: '5'\n", config.Sources{}, `penstock.yaml:1:7: rate: needs a whole number, not the text "5": remove the quotes`},
		{"overflow", "rate: 70000\n", config.Sources{}, `needs a whole number from 0 to 65535, not "70000"`},
		{"negative overflow", "shift: -129\n", config.Sources{}, `needs a whole number from -128 to 127`},
		{"fraction", "big: 1.5\n", config.Sources{}, `needs a whole number, not "1.5"`},
		{"infinite", "points: [{min: .inf}]\n", config.Sources{}, `points[0].min: needs a number, not ".inf"`},
		{"bool for text", "data: true\n", config.Sources{}, "needs a text"},
		{"list for text", "data: [a]\n", config.Sources{}, "needs a single value, this is a list"},
		{"text for section", "listen: here\n", config.Sources{}, "listen: needs keys and values, this is a text"},
		{"section for list", "points: {a: 1}\n", config.Sources{}, "points: needs a list, this is a section of keys"},
		{"empty scalar", "data:\n", config.Sources{}, "data: has no value"},
		{"syntax", "data: [1, 2\nrate: 3\n", config.Sources{}, "penstock.yaml:2:1: is not valid YAML"},
		{"anchor", "data: &x a\n", config.Sources{}, "anchors and aliases are not supported"},
		{"merge", "<<: {data: a}\n", config.Sources{}, "this form of key is not supported"},
		{"tag", "data: !!str a\n", config.Sources{}, "tags are not supported"},
		{"two documents", "data: a\n---\ndata: b\n", config.Sources{}, "more than one document"},
		{"not UTF-8", "data: \xff\n", config.Sources{}, "not valid UTF-8"},
		{"root is a list", "- a\n", config.Sources{}, "needs keys and values, this is a list"},
		{"own type", "steps: [a, 5]\n", config.Sources{}, "penstock.yaml:1:8: steps: step 5 is no name"},
		{"own type, own check", "steps: [a]\n", config.Sources{}, "penstock.yaml:1:8: steps: the last step is not decode"},
		{"own type, wrong form", "steps: 5\n", config.Sources{}, "penstock.yaml:1:8: steps: "},
		{"validation finds the line", "listen:\n  https: :1\n  health: :1\n", config.Sources{}, "penstock.yaml:3:11: listen.health: must differ from https\n"},
		{"validation of a default", "listen:\n  https: 127.0.0.1:3000\n", config.Sources{}, "penstock.yaml:2:3: listen.health: must differ"},
		{"section in a list", "sinks:\n  a:\n    enabled: true\n", config.Sources{}, "penstock.yaml:3:5: sinks.a.url: is required\n  3 |     enabled: true"},
		{"joined validation", "sinks: {a: {enabled: true}}\n", config.Sources{}, "sinks.a.url: is required"},
		{"joined validation, second", "sinks: {a: {enabled: true}}\n", config.Sources{}, "sinks.a: a sink needs a destination"},
		{"set unknown", "", config.Sources{Set: []string{"listen.htps=:1"}}, "--set listen.htps: listen.htps: unknown key; did you mean https?"},
		{"set wrong", "", config.Sources{Set: []string{"rate=x"}}, `--set rate: rate: needs a whole number from 0 to 65535, not "x"`},
		{"set without value", "", config.Sources{Set: []string{"rate"}}, `--set "rate": is not of the form key=value`},
		{"set empty part", "", config.Sources{Set: []string{"a..b=1"}}, "empty part"},
		{"set empty list", "", config.Sources{Set: []string{"points="}}, "--set points: points: has no value"},
		{"set bad YAML", "", config.Sources{Set: []string{"points=[{"}}, "--set points: is not valid YAML"},
		{"environment wrong", "", config.Sources{Environ: []string{"PENSTOCK_LISTEN_HTTPS=80"}}, `environment PENSTOCK_LISTEN_HTTPS: listen.https: "80" is not an address`},
		{"no secret's file", "sinks: {a: {url: u, password: 'file:none'}}\n", config.Sources{}, "sinks.a.password: the secret's file cannot be read"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := load(t, test.yaml, test.from)
			var all *config.Error
			if !errors.As(err, &all) {
				t.Fatalf("got %v, want a *config.Error", err)
			}
			if !strings.Contains(err.Error()+"\n", test.want) {
				t.Errorf("got\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

func TestLoadReportsAllProblemsInOrder(t *testing.T) {
	_, _, err := load(t, "rate: x\nkeep: 3y\nlisten: {https: 1, helth: x}\nrate: 1\nsteps: [a, 5]\n", config.Sources{Set: []string{"a=1"}})
	var all *config.Error
	if !errors.As(err, &all) {
		t.Fatal(err)
	}
	var keys []string
	for _, p := range all.Problems {
		keys = append(keys, p.Key)
	}
	want := []string{"rate", "keep", "listen.https", "listen.helth", "rate", "steps", "a"}
	if !reflect.DeepEqual(keys, want) {
		t.Errorf("got problems of %q, want %q", keys, want)
	}
}

func TestLoadWarnsOfVariablesThatNameNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, ".env", "PENSTOCK_LISTEN_HTPS=:1\n")
	_, loaded, err := loadHere(t, "", config.Sources{DotEnv: ".env", Environ: []string{"PENSTOCK_PORT_80=tcp"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		".env:1:1: PENSTOCK_LISTEN_HTPS names no key of the configuration; did you mean PENSTOCK_LISTEN_HTTPS?",
		"environment PENSTOCK_PORT_80: PENSTOCK_PORT_80 names no key of the configuration",
	}
	if !reflect.DeepEqual(loaded.Warnings, want) {
		t.Errorf("got %q", loaded.Warnings)
	}
}

func TestLoadRefusesWhatIsNoFile(t *testing.T) {
	t.Chdir(t.TempDir())
	for path, want := range map[string]string{"none.yaml": "none.yaml: cannot be read: no such file or directory", ".": ".: cannot be read: it is no file"} {
		p := defaults()
		_, err := config.Load(&p, config.Sources{File: path})
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	write(t, ".env", "PENSTOCK_DATA='open\nnonsense\n")
	p := defaults()
	_, err := config.Load(&p, config.Sources{DotEnv: ".env"})
	if err == nil || strings.Contains(err.Error(), "open") || !strings.Contains(err.Error(), ".env:2:1") {
		t.Errorf("got %v", err)
	}
}

// FuzzLoad asserts that no file panics, and that no secret shows in a message.
func FuzzLoad(f *testing.F) {
	f.Add("listen: {https: ':1'}\nsinks: {a: {password: CANARY, url: 5, x: 1}}\n")
	f.Add("sinks:\n  a:\n    passwrd: CANARY\n")
	f.Add("points: [{name: a, min: &x 1}, *x]\n? a\n: b\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4<<10 {
			return
		}
		p, loaded, err := load(t, text, config.Sources{Set: []string{"data=" + text}})
		if err == nil {
			if _, err := config.Print(&p, loaded); err != nil {
				t.Error(err)
			}
		}
	})
}
