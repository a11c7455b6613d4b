package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/cli"
	"github.com/penstock/penstock/internal/cli/setup"
	"github.com/penstock/penstock/internal/cli/shell"
	"github.com/penstock/penstock/internal/config"
)

// settings is the configuration of a gateway that exists in tests only.
type settings struct {
	Data   string `yaml:"data" jsonschema_description:"data directory"`
	Listen struct {
		HTTPS config.Address `yaml:"https" jsonschema_description:"address of the API"`
	} `yaml:"listen"`
	Password config.Secret `yaml:"password"`
}

type next = cli.Again[settings]

// program has every part, so that every command exists.
func program(run cli.RunGateway[settings]) cli.Program {
	return cli.Program{
		Gateway:    cli.NewGateway(func() *settings { return &settings{Data: "penstock-data"} }, run, func(*settings) error { return nil }),
		Spool:      shelf{},
		Demo:       func(context.Context, cli.DemoOptions) error { return nil },
		Decode:     func(config.Sources, cli.Payload, func(cli.Decoded) error) error { return nil },
		ScanModbus: func(context.Context, cli.ModbusScan) error { return nil },
		ScanOPCUA:  func(context.Context, cli.OPCUAScan) error { return nil },
		Setup:      setup.Parts{Doctor: &examiner{}, Gateway: &setup.Gateway{Listeners: listeners, Key: func(string) error { return nil }}},
	}
}

var facts = cli.Facts{
	Addresses:   []cli.Listener{{Key: "listen.https", Address: "[::]:8080"}, {Key: "listen.health", Address: "127.0.0.1:3000"}, {Key: "listen.mqtt", Address: "10.0.0.1:8883"}, {Key: "sources.meters.udp", Address: "127.0.0.1:4001"}},
	Data:        "/srv/pen stock",
	Certificate: "/srv/pen stock/tls/cert.pem", Fingerprint: "AB:CD", TokenFile: "/srv/pen stock/admin.token", PID: 4711,
}

func TestServe(t *testing.T) {
	var ran settings
	var start cli.Start
	p := program(func(_ context.Context, c *settings, _ next, s cli.Start) error {
		ran, start = *c, s
		s.Started(facts)
		return nil
	})
	got := command{program: p, environ: []string{"PENSTOCK_PASSWORD=hunter2", "PENSTOCK_TOKEN=x", "PENSTOCK_DATTA=y"}}.
		run("serve", "--set", "listen.https=127.0.0.1:0", "--set", "data=weak", "--data", "strong", "--allow-root")
	got.want(t, shell.ExitOK, got.stdout, "penstock: warning: environment PENSTOCK_DATTA: PENSTOCK_DATTA names no key of the configuration; did you mean PENSTOCK_DATA?")
	if strings.Contains(got.stderr, "PENSTOCK_TOKEN") {
		t.Errorf("warned of a variable of its own: %s", got.stderr)
	}
	golden(t, "banner.txt", got.stdout)
	if ran.Data != "strong" || ran.Listen.HTTPS != "127.0.0.1:0" || ran.Password.Reveal() != "hunter2" {
		t.Errorf("ran with %+v", ran)
	}
	if !start.AllowRoot || start.Version != "0.0.1" || start.Loaded.Where("listen.https") != "--set listen.https" {
		t.Errorf("started with %+v", start)
	}
}

func TestServeReadsItsConfigurationAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "penstock.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("data: one\n")
	var read []string
	p := program(func(ctx context.Context, c *settings, next next, _ cli.Start) error {
		read = append(read, c.Data)
		for _, text := range []string{"data: two\n", "datta: three\n", "data: four\n"} {
			write(text)
			if err := next.Asked(ctx); err != nil {
				read = append(read, "error")
			} else if fresh, err := next.Load(); err != nil {
				read = append(read, "error")
			} else {
				read = append(read, fresh.Data)
			}
		}
		return nil
	})
	command{program: p}.run("serve", "-c", file).want(t, shell.ExitOK, "", "")
	if got := strings.Join(read, " "); got != "one two error four" {
		t.Errorf("read %s", got)
	}
}

func TestServeEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := program(func(ctx context.Context, _ *settings, _ next, _ cli.Start) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})
	command{program: p}.runIn(ctx, "serve").want(t, shell.ExitOK, "", "")
	p = program(func(context.Context, *settings, next, cli.Start) error {
		return errors.New("listen.https: port 8080 is taken")
	})
	command{program: p}.run("serve").want(t, shell.ExitFailed, "", "penstock: listen.https: port 8080 is taken\n")
	command{program: p}.run("serve", "--set", "listen.http=:1").want(t, shell.ExitConfiguration, "", "did you mean https?")
	command{program: p}.run("serve", "now").want(t, shell.ExitUsage, "", "takes no arguments")
}

func TestCheck(t *testing.T) {
	t.Chdir(t.TempDir())
	p := program(nil)
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("good.yaml", "password: hunter2\n")
	write("bad.yaml", "listen:\n  htps: :8080\ndata: [a]\n")
	write(".env", "PENSTOCK_LISTEN_HTTPS=:1\n")
	command{program: p}.run("check", "-c", "good.yaml").want(t, shell.ExitOK, "good.yaml holds.\n", "")
	command{program: p}.run("check").want(t, shell.ExitOK, "The configuration holds.\n", "")
	command{program: p, environ: []string{"PENSTOCK_CONFIG=bad.yaml"}}.run("check").want(t, shell.ExitConfiguration, "",
		"penstock: bad.yaml:2:3: listen.htps: unknown key; did you mean https?\n  2 |   htps: …\n    |   ^\nbad.yaml:3:7: data: needs a single value, this is a list\n")
	printed := command{program: p}.run("check", "-c", "good.yaml", "--print")
	printed.want(t, shell.ExitOK, "https: :1 # .env:1:1\n", "")
	if strings.Contains(printed.stdout, "hunter2") {
		t.Errorf("the secret shows:\n%s", printed.stdout)
	}
	schema := command{program: p}.run("check", "--schema")
	if schema.want(t, shell.ExitOK, `"description": "address of the API"`, ""); !json.Valid([]byte(schema.stdout)) {
		t.Error("the schema is no JSON")
	}
	command{program: p}.run("check", "--schema", "--print").want(t, shell.ExitUsage, "", "none of the others can be")
}

// shelf is a spool that is good, rotten or without a header.
type shelf struct{}

func (shelf) Inspect(_ context.Context, place cli.SpoolPlace, each func(cli.SpoolFrame) error) (cli.SpoolReport, error) {
	if place.Data == "none" {
		return cli.SpoolReport{}, penstock.Errorf(penstock.NotFound, "there is no spool below none")
	}
	at := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	err := errors.Join(
		each(cli.SpoolFrame{Segment: 1, Number: 1, Offset: 1024, Size: 512, Type: "opening", First: 1, Time: at, Origin: "first start"}),
		each(cli.SpoolFrame{Segment: 1, Number: 2, Offset: 1536, Size: 1024, Type: "batch", First: 1, Entries: 9, Acked: 1, Time: at, Void: true}))
	r := cli.SpoolReport{Segments: 2, Frames: 2, Entries: 9, Bytes: 4096, First: 1, Last: 9, Sound: true}
	switch place.Data {
	case "rotten":
		r.Damage = append(r.Damage, cli.SpoolDamage{Path: "000001.seg", From: 512, To: 1024, What: "frames", Lost: []string{"pump-17 1/3"}})
		r.Sound = false
	case "scratched":
		r.Damage = append(r.Damage, cli.SpoolDamage{Path: "000001.seg", From: 0, To: 64, What: "one of the two headers"})
		r.Notes = []string{"segment 3 is missing: " + place.Keys}
		r.Sound = false
	}
	return r, err
}

func TestSpool(t *testing.T) {
	p := program(nil)
	good := command{program: p}.run("spool", "verify", "good")
	good.want(t, shell.ExitOK, good.stdout, "")
	rotten := command{program: p}.run("spool", "verify", "rotten")
	rotten.want(t, shell.ExitDamaged, rotten.stdout, "entries are lost; when the gateway starts")
	scratched := command{program: p}.run("spool", "verify", "scratched", "--keys", "safe")
	scratched.want(t, shell.ExitDamaged, scratched.stdout, "but no entry is lost. Keep a copy")
	inspect := command{program: p}.run("spool", "inspect", "good")
	inspect.want(t, shell.ExitOK, inspect.stdout, "")
	golden(t, "spool.txt", good.stdout+rotten.stdout+scratched.stdout+inspect.stdout)
	command{program: p}.run("spool", "verify", "rotten", "--json").want(t, shell.ExitDamaged, `"lost": [`, "entries are lost")
	command{program: p}.run("spool", "inspect", "good", "--json").want(t, shell.ExitOK, `"void":true`, "")
	command{program: p}.run("spool", "verify", "none").want(t, shell.ExitFailed, "", "there is no spool below none")
}

func TestScanModbusOptions(t *testing.T) {
	var got cli.ModbusScan
	p := cli.Program{ScanModbus: func(_ context.Context, o cli.ModbusScan) error {
		o.Tell("%d found", 2)
		got = o
		return nil
	}}
	command{program: p}.run("scan", "modbus", "--device", "/dev/ttyUSB7", "--baud", "9600,1200", "--parity", "odd", "--stop-bits", "2",
		"--units", "1-3,9", "--registers", "100-149", "--timeout", "1s").want(t, shell.ExitOK, "", "2 found\n")
	got.Tell, got.Out = nil, nil
	want := cli.ModbusScan{Device: "/dev/ttyUSB7", Bauds: []int{9600, 1200}, Parities: []string{"odd"}, StopBits: 2,
		Units: []uint8{1, 2, 3, 9}, First: 100, Count: 50, Timeout: time.Second}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, args := range [][]string{{}, {"--tcp", "a:1", "--device", "b"}, {"--tcp", "a:1", "--units", "3-1"}, {"--tcp", "a:1", "--units", "256"},
		{"--tcp", "a:1", "--units", ""}, {"--tcp", "a:1", "--registers", "0-65536"}, {"--tcp", "a:1", "--registers", "x"}} {
		command{program: p}.run(append([]string{"scan", "modbus"}, args...)...).want(t, shell.ExitUsage, "", "penstock: ")
	}
}

func TestScanOPCUAOptions(t *testing.T) {
	var got cli.OPCUAScan
	p := cli.Program{ScanOPCUA: func(_ context.Context, o cli.OPCUAScan) error {
		got = o
		return nil
	}}
	command{program: p}.run("scan", "opcua", "opc.tcp://a:4840", "--root", "ns=2;s=Plant", "--depth", "3", "--max", "9", "--timeout", "2s", "--data", "d",
		"--policy", "Aes256_Sha256_RsaPss", "--mode", "Sign", "--trust", "sha256:ab", "--plain-text", "--user", "u", "--password-file", "f").want(t, shell.ExitOK, "", "")
	got.Out = nil
	want := cli.OPCUAScan{
		Endpoint: "opc.tcp://a:4840", Policy: "Aes256_Sha256_RsaPss", Mode: "Sign", Trust: "sha256:ab", PlainText: true, User: "u", PasswordFile: "f",
		Root: "ns=2;s=Plant", Depth: 3, Max: 9, Timeout: 2 * time.Second, Data: "d",
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, args := range [][]string{{}, {"a", "b"}, {"a", "--user", "u"}, {"a", "--user", "u", "--password-file", "f"}} {
		command{program: p}.run(append([]string{"scan", "opcua"}, args...)...).want(t, shell.ExitUsage, "", "penstock: ")
	}
}

func TestDemoOptions(t *testing.T) {
	var got cli.DemoOptions
	p := cli.Program{Demo: func(_ context.Context, o cli.DemoOptions) error {
		got = o
		got.Stdout, got.Stderr = nil, nil
		return nil
	}}
	command{program: p}.run("demo", "--for", "60s", "--controllers", "500", "--loss", "10%", "--duplicate", "0.1", "--reorder", "10%", "--corrupt", "1%",
		"--kill-every", "5s", "--json", "--listen", ":0", "--data", "d", "--seed", "7", "--break", "radio", "--break", "store@1m+9s").want(t, shell.ExitOK, "", "")
	want := cli.DemoOptions{Breaks: []string{"radio", "store@1m+9s"}, For: time.Minute, Controllers: 500, Loss: 0.1, Duplicate: 0.1, Reorder: 0.1, Corrupt: 0.01,
		KillEvery: 5 * time.Second, JSON: true, Listen: ":0", Data: "d", Seed: 7}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, args := range [][]string{{"--loss", "101%"}, {"--loss", "-1"}, {"--loss", "NaN"}, {"--controllers", "0"}, {"--for", "-1s"}} {
		command{program: p}.run(append([]string{"demo"}, args...)...).want(t, shell.ExitUsage, "", "penstock: ")
	}
}

func TestHelp(t *testing.T) {
	p := program(nil)
	bare := command{program: p}.run()
	bare.want(t, shell.ExitOK, "Exit codes:", "")
	command{program: p}.run("help", "send").want(t, shell.ExitOK, "Send reports from a file", "")
	command{program: p}.run("qery").want(t, shell.ExitUsage, "", "penstock: \"qery\" is no command of penstock; did you mean query?\nSee 'penstock --help'\n")
	command{program: p}.run("controllers", "lst").want(t, shell.ExitUsage, "", "did you mean list?")
	command{program: p}.run("send", "--bach", "1").want(t, shell.ExitUsage, "", "unknown flag: --bach\nSee 'penstock send --help'\n")
	command{}.run("serve").want(t, shell.ExitUsage, "", "is no command")
}

func TestManual(t *testing.T) {
	dir := t.TempDir()
	command{program: program(nil)}.run("man", dir).want(t, shell.ExitOK, "", "")
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(pages) < 20 { // a page a command
		t.Errorf("wrote %d pages (%v): %q", len(pages), err, pages)
	}
	page, err := os.ReadFile(filepath.Join(dir, "penstock-controllers-add.1"))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "penstock-controllers-add.1", string(page))
}

func TestCompletion(t *testing.T) {
	for _, name := range []string{"bash", "zsh", "fish", "powershell"} {
		command{}.run("completion", name).want(t, shell.ExitOK, "penstock", "")
	}
	command{}.run("completion", "csh").want(t, shell.ExitUsage, "", "invalid argument")
	command{program: program(nil)}.run("__complete", "controllers", "a").want(t, shell.ExitOK, "add\tMake a credential", "Completion ended")
}

func TestVersion(t *testing.T) {
	command{}.run("version").want(t, shell.ExitOK, "penstock 0.0.1", "")
	got := command{}.run("version", "--json", "--deps")
	var parsed struct{ Version, Go string }
	if err := json.Unmarshal([]byte(got.stdout), &parsed); err != nil || parsed.Version != "0.0.1" || !strings.HasPrefix(parsed.Go, "go1.") {
		t.Errorf("got %s (%v)", got.stdout, err)
	}
}

func TestReferenceIsCurrent(t *testing.T) {
	golden(t, "../../../docs/cli.md", cli.Reference(shell.Env{Stdout: io.Discard, Stderr: io.Discard}, program(nil)))
}
