package cli_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/cli"
	"github.com/penstock/penstock/internal/cli/shell"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/doctor"
	"github.com/penstock/penstock/internal/install"
	"github.com/penstock/penstock/internal/ports"
)

// examiner is a doctor with a report at hand.
type examiner struct {
	report doctor.Report
	ports  func() []doctor.PortState
	from   config.Sources
}

func (e *examiner) Examine(_ context.Context, from config.Sources) doctor.Report {
	e.from = from
	return e.report
}

func (e *examiner) Ports(from config.Sources) ([]doctor.PortState, error) {
	e.from = from
	if e.ports == nil {
		return nil, nil
	}
	return e.ports(), nil
}

func listeners(string) ([]install.Listener, error) {
	return []install.Listener{{Name: "https", Network: "tcp", Address: ":8080"}, {Name: "health", Network: "tcp", Address: "127.0.0.1:3000"}}, nil
}

func TestDoctor(t *testing.T) {
	e := &examiner{report: doctor.Report{Checks: []doctor.Check{
		{Name: "kernel", Status: doctor.OK, Found: "Linux 6.1", Why: "it is old"},
		{Name: "clock", Status: doctor.Warn, Found: "nobody sets it", Why: "times are wrong", Fix: "run chrony"},
	}}}
	p := program(nil)
	p.Setup.Doctor = e
	got := command{program: p}.run("doctor", "-c", "mine.yaml", "--data", "d")
	got.want(t, shell.ExitOK, "2 checks: 1 ok, 1 warnings, 0 failures", "")
	if e.from.File != "mine.yaml" || len(e.from.Set) != 1 || e.from.Set[0] != "data=d" {
		t.Errorf("the configuration comes from %+v", e.from)
	}
	e.report.Checks = append(e.report.Checks, doctor.Check{Name: "ports listen.https", Status: doctor.Fail, Found: "taken\nby \x1b[31m", Why: "it cannot listen", Fix: "stop it"})
	got = command{program: p}.run("doctor")
	got.want(t, shell.ExitFailed, "3 checks", "penstock: 1 of 3 checks failed")
	golden(t, "doctor.txt", got.stdout)
	got = command{program: p}.run("doctor", "--json")
	var report doctor.Report
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil || len(report.Checks) != 3 || got.code != shell.ExitFailed {
		t.Errorf("%d: %v: %s", got.code, err, got.stdout)
	}
	for _, key := range []string{"name", "status", "found", "why", "fix"} {
		if strings.Count(got.stdout, `"`+key+`":`) != 3 {
			t.Errorf("%s does not stand in each check: %s", key, got.stdout)
		}
	}
}

func TestDoctorPorts(t *testing.T) {
	p := program(nil)
	p.Setup.Doctor = &examiner{ports: func() []doctor.PortState {
		return []doctor.PortState{
			{Listener: doctor.Listener{Key: "listen.https", Network: "tcp", Address: ":8080"}, Holders: []ports.Holder{{PID: 77, User: "www-data", Unit: "nginx.service", Command: "nginx: master"}}},
			{Listener: doctor.Listener{Key: "listen.mqtt", Network: "tcp", Address: ":8883"}, Holders: []ports.Holder{{User: "ann"}}},
			{Listener: doctor.Listener{Key: "listen.health", Network: "tcp", Address: "127.0.0.1:3000"}, Ours: true, Holders: []ports.Holder{{PID: 78, User: "penstock", Command: "penstock serve"}}},
			{Listener: doctor.Listener{Key: "listen.link_udp", Network: "udp", Address: ":5427"}},
		}
	}}
	golden(t, "doctor-ports.txt", command{program: p}.run("doctor", "ports").stdout)
	got := command{program: p}.run("doctor", "prots")
	got.want(t, shell.ExitUsage, "", `"prots" is no command of penstock doctor; did you mean ports?`)
}

// holdAPort makes the test binary a program that holds a port.
const holdAPort = "PENSTOCK_TEST_HOLD"

// hold listens, says where, and stays until its input ends.
func hold() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 1
	}
	defer l.Close()
	fmt.Println(l.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin) // the test ended when it ends
	return 0
}

// holder is another program that holds a port.
type holder struct {
	address string
	release func()
}

func newHolder(t *testing.T) holder {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), holdAPort+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait() // it may have been stopped
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return holder{strings.TrimSpace(line), func() { stdin.Close() }}
}

// states tells who holds the port, and calls each before it looks.
func (h holder) states(t *testing.T, each func()) func() []doctor.PortState {
	return func() []doctor.PortState {
		each()
		holders, err := ports.Machine{}.Holders("tcp", h.address)
		if err != nil {
			t.Error(err)
		}
		return []doctor.PortState{{Listener: doctor.Listener{Key: "listen.https", Network: "tcp", Address: h.address}, Holders: holders}}
	}
}

func TestServeWithATakenPort(t *testing.T) {
	ran := 0
	p := program(func(context.Context, *settings, next, cli.Start) error { ran++; return nil })
	h := newHolder(t)
	p.Setup.Doctor = &examiner{ports: h.states(t, func() {})}

	got := command{program: p}.run("serve", "--wait-port", "200ms")
	got.want(t, shell.ExitLater, "", "listen.https: after 200ms "+h.address+" is still held by ")
	got = command{program: p}.run("serve", "--take-port")
	got.want(t, shell.ExitUsage, "", "say --yes")
	got = command{program: p}.run("serve", "--yes")
	got.want(t, shell.ExitUsage, "", "--yes goes with --take-port")
	if ran != 0 {
		t.Fatal("the gateway ran although the port is taken")
	}
	got = command{program: p}.run("serve", "--take-port", "--yes")
	got.want(t, shell.ExitOK, "", "penstock: listen.https: "+h.address+" is held by ")
	if conn, err := net.Dial("tcp", h.address); ran != 1 || err == nil {
		t.Errorf("the gateway ran %d times; the port answers: %v", ran, conn)
	}

	h = newHolder(t)
	p.Setup.Doctor = &examiner{ports: h.states(t, func() { time.AfterFunc(100*time.Millisecond, h.release) })}
	got = command{program: p}.run("serve", "--wait-port", "10s")
	got.want(t, shell.ExitOK, "", "waiting up to 10s for "+h.address)
	if ran != 2 {
		t.Error("the gateway did not run when the port came free")
	}
}

func TestInstallIntoAnImage(t *testing.T) {
	root := t.TempDir()
	got := command{program: program(nil)}.run("install", "--root", root, "--dry-run", "--firewall", "--from", "10.0.8.0/24")
	for _, part := range []string{"    | User=penstock", `    |   allow: ["10.0.8.0/24"]`, "saddr { 10.0.8.0/24 } accept"} {
		got.want(t, shell.ExitOK, part, "")
	}
	if left, err := os.ReadDir(root); err != nil || len(left) > 0 {
		t.Errorf("a dry run left %v, %v", left, err)
	}
	for _, wrong := range [][]string{{"--firewall"}, {"--from", "lb.example"}, {"--package", "half"}} {
		got = command{program: program(nil)}.run(append([]string{"install", "--root", root}, wrong...)...)
		got.want(t, shell.ExitUsage, "", "penstock: ")
	}
	got = command{program: program(nil)}.run("install", "--root", root)
	got.want(t, shell.ExitUsage, "account    penstock", "say --yes, or look first with --dry-run")
	p := program(nil)
	p.Setup.Gateway.Listeners = func(string) ([]install.Listener, error) { return nil, &config.Error{} }
	binary := filepath.Join(root, "new")
	if err := os.WriteFile(binary, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got = command{program: p}.run("upgrade", "--root", root, "--yes", "--binary", binary)
	got.want(t, shell.ExitConfiguration, "", "nothing was changed")
}

func TestVersionAgainstADatabase(t *testing.T) {
	dir := t.TempDir()
	entry := func(name, module string) {
		text := fmt.Sprintf(`{"id":%q,"modified":"2026-11-02T00:00:00Z","summary":"It breaks","affected":[{"package":{"name":%q,"ecosystem":"Go"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}]}]}`, name, module)
		if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	entry("GO-2026-1", "example.org/other")
	got := command{program: program(nil)}.run("version", "--vulns", dir)
	got.want(t, shell.ExitOK, "0 of them affected; the database has 1 entries and is of 2026-11-02, 20 days ago", "")
	entry("GO-2026-2", "stdlib")
	got = command{program: program(nil)}.run("version", "--vulns", dir)
	got.want(t, shell.ExitDamaged, "GO-2026-2  stdlib", "1 known vulnerabilities")
	got = command{program: program(nil)}.run("version", "--vulns", t.TempDir())
	got.want(t, shell.ExitFailed, "", "there is no entry in it")
	got = command{program: program(nil)}.run("version", "--licences")
	got.want(t, shell.ExitOK, "github.com/spf13/cobra", "")
}
