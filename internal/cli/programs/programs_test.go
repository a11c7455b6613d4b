package programs_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/cli"
	"github.com/penstock/penstock/internal/cli/shell"
	"github.com/penstock/penstock/internal/supervise"
	"github.com/penstock/penstock/internal/testkit"
)

// TestMain runs the tests, or the program whose commands they test, or what that
// program runs.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "supervise":
		os.Exit(cli.Run(context.Background(), shell.Env{
			Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(), Version: "test",
			Now: time.Now, Rand: rand.Reader,
			Signals: func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithCancel(ctx) },
		}, cli.Program{}))
	case len(os.Args) > 1 && os.Args[1] == "child":
		os.Exit(run())
	}
	testkit.Main(m)
}

// manager is a manager in a process of its own.
type manager struct {
	t       *testing.T
	self    string
	home    string
	process *exec.Cmd
	output  bytes.Buffer
	ended   bool
}

// manage starts a manager with the arguments and waits until it can be asked.
func manage(t *testing.T, arguments ...string) *manager {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{t: t, self: self, home: t.TempDir()}
	m.process = m.command(append([]string{"supervise"}, arguments...)...)
	m.process.Stdout, m.process.Stderr = &m.output, &m.output
	if err := m.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !m.ended {
			if err := m.end(syscall.SIGTERM); err != nil {
				t.Errorf("the manager did not end well: %v", err)
			}
		}
		if t.Failed() {
			t.Logf("the manager printed:\n%s", &m.output)
		}
	})
	return m
}

func (m *manager) command(arguments ...string) *exec.Cmd {
	c := exec.Command(m.self, arguments...)
	c.Env = append(os.Environ(), "SUPERVISE_RUNTIME="+filepath.Join(m.home, "run"), "GORACE=atexit_sleep_ms=0")
	return c
}

// manageWeb runs the child of the tests with the flags.
func manageWeb(t *testing.T, flags ...string) *manager {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m := manage(t, append(append([]string{"--name", "web", "--listen", "web=127.0.0.1:0", "--ready", "notify"}, flags...), "--", self, "child")...)
	m.await("it to run", func(s supervise.Status) bool {
		return !slices.ContainsFunc(s.Programs[0].Instances, func(i supervise.InstanceStatus) bool { return i.State != "running" })
	})
	return m
}

func (m *manager) end(s os.Signal) error {
	m.ended = true
	if err := m.process.Process.Signal(s); err != nil {
		return err
	}
	return m.process.Wait()
}

// ask runs a command against the manager.
func (m *manager) ask(arguments ...string) (output string, code int) {
	m.t.Helper()
	c := m.command(append([]string{"supervise"}, arguments...)...)
	text, err := c.CombinedOutput()
	if err != nil && c.ProcessState == nil {
		m.t.Fatal(err)
	}
	return string(text), c.ProcessState.ExitCode()
}

func (m *manager) status() (s supervise.Status, ok bool) {
	m.t.Helper()
	text, _ := m.ask("status", "--json")
	object, _, _ := strings.Cut(text, "\npenstock: ") // a program that was given up is an error too
	return s, json.Unmarshal([]byte(object), &s) == nil && len(s.Programs) > 0
}

// await waits for a state and returns it.
func (m *manager) await(what string, holds func(supervise.Status) bool) (s supervise.Status) {
	m.t.Helper()
	testkit.Eventually(m.t, func() bool {
		var ok bool
		s, ok = m.status()
		return ok && holds(s)
	}, what)
	return s
}

// first returns the first instance of the first program.
func first(s supervise.Status) supervise.InstanceStatus { return s.Programs[0].Instances[0] }

func (m *manager) url() string {
	m.t.Helper()
	s, ok := m.status()
	if !ok {
		m.t.Fatal("the manager does not answer")
	}
	return "http://" + s.Programs[0].Sockets[0].Address
}

// get asks the child over a connection of its own.
func (m *manager) get(path string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	response, err := client.Get(m.url() + path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

// again waits until another process runs, which was started after the given end.
func (m *manager) again(before supervise.InstanceStatus, end string) supervise.InstanceStatus {
	m.t.Helper()
	after := first(m.await("it to be started again", func(s supervise.Status) bool {
		i := first(s)
		return i.State == "running" && i.PID != before.PID
	}))
	if after.Restarts != before.Restarts+1 || !strings.Contains(after.LastEnd, end) {
		m.t.Errorf("it was started %d times, the last end: %s", after.Restarts, after.LastEnd)
	}
	if text, err := m.get("/"); err != nil || text != fmt.Sprint(after.PID) {
		m.t.Errorf("the new process %d does not answer: %s, %v", after.PID, text, err)
	}
	return after
}

// What goes wrong with a program is mended, and named.
func TestTroublesAreMended(t *testing.T) {
	m := manageWeb(t, "--watchdog", "2s", "--memory", "512MiB", "--stop-timeout", "5s")
	i := first(m.await("it to run", func(supervise.Status) bool { return true }))
	if i.Status != "serves" || i.Resident < 1<<20 || i.Processes != 1 {
		t.Errorf("%+v", i)
	}
	if err := syscall.Kill(i.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// Who comes now waits in the queue of the socket.
	if text, err := m.get("/"); err != nil || text == fmt.Sprint(i.PID) {
		t.Errorf("got %q, %v", text, err)
	}
	i = m.again(i, "killed by SIGKILL")
	if _, err := m.get("/crash"); err == nil {
		t.Error("a crash answers")
	}
	i = m.again(i, "exit status 3")
	if _, err := m.get("/hang"); err != nil {
		t.Error(err)
	}
	i = m.again(i, "its watchdog heard nothing for 2s")
	if _, err := m.get("/leak"); err != nil {
		t.Error(err)
	}
	m.again(i, "more than its ceiling of 512.0 MiB")
	if text, _ := m.ask("logs", "web"); !strings.Contains(text, "goroutine ") {
		t.Error("the hung process did not say where it hangs")
	}
}

// What a program leaves behind, in sessions of its own too, ends with it and is
// reaped.
func TestOrphans(t *testing.T) {
	m := manageWeb(t)
	i := first(m.await("it to run", func(supervise.Status) bool { return true }))
	if _, err := m.get("/spawn"); err != nil {
		t.Fatal(err)
	}
	m.await("the orphans", func(s supervise.Status) bool { return first(s).Processes == 3 })
	if err := syscall.Kill(i.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.again(i, "SIGKILL")
	m.await("the orphans to be reaped", func(s supervise.Status) bool { return first(s).Processes == 1 && s.Orphans >= 2 })
}

// Processes are replaced while others ask them, and nobody is refused.
func TestRestartUnderLoad(t *testing.T) {
	m := manageWeb(t, "-n", "2")
	url := m.url()
	before, _ := m.status()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var work sync.WaitGroup
	var mu sync.Mutex
	asked, failed := 0, []string{}
	for i := range 8 {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: i%2 == 0}, Timeout: 20 * time.Second}
		work.Go(func() {
			for ctx.Err() == nil {
				response, err := client.Get(url)
				if err == nil {
					_, err = io.Copy(io.Discard, response.Body)
					response.Body.Close()
				}
				mu.Lock()
				asked++
				if err != nil {
					failed = append(failed, err.Error())
				}
				mu.Unlock()
			}
			client.CloseIdleConnections()
		})
	}
	for range 3 {
		if text, code := m.ask("restart"); code != 0 || !strings.Contains(text, "web/1 was replaced in ") || !strings.Contains(text, "web/2 was replaced in ") {
			t.Errorf("restart answers %d: %s", code, text)
		}
	}
	stop()
	work.Wait()
	after, _ := m.status()
	for n, i := range after.Programs[0].Instances {
		if i.PID == before.Programs[0].Instances[n].PID || i.Restarts != 0 || i.Generation != 4 {
			t.Errorf("instance %d: %+v", n+1, i)
		}
	}
	if len(failed) > 0 || asked < 100 {
		t.Errorf("%d of %d requests failed: %v", len(failed), asked, failed)
	}
}

func TestWhatIsPrintedAndSignalsThatAreForwarded(t *testing.T) {
	m := manageWeb(t, "-n", "2")
	if err := m.process.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	var text string
	testkit.Eventually(t, func() bool {
		text, _ = m.ask("logs")
		return strings.Count(text, "hung up") == 2
	}, "both processes to be hung up")
	for _, want := range []string{" info web/2[", "] instance 1 serves", ` err web/1[`, `{"level":"error","msg":"this is in JSON"}`, " crit web/2[", "] this is critical", " info supervise["} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
	if text, _ := m.ask("logs", "supervise", "-n", "1"); strings.Count(text, "\n") != 1 || !strings.Contains(text, "supervise[") {
		t.Errorf("the last line of the manager: %s", text)
	}
	if text, code := m.ask("logs", "nobody"); code != shell.ExitRefused || !strings.Contains(text, "web") {
		t.Errorf("an unknown program answers %d: %s", code, text)
	}
	follow := m.command("supervise", "logs", "-f", "-n", "0", "web")
	var followed bytes.Buffer
	follow.Stdout = &followed
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	if text, code := m.ask("stop", "web"); code != 0 {
		t.Errorf("stop: %s", text)
	}
	m.await("it to stop", func(s supervise.Status) bool {
		return first(s).State == "stopped" && s.Programs[0].Instances[1].State == "stopped"
	})
	if text, code := m.ask("restart", "web/2"); code != 0 {
		t.Errorf("start again: %s", text)
	}
	m.await("the second to run", func(s supervise.Status) bool {
		return first(s).State == "stopped" && s.Programs[0].Instances[1].State == "running"
	})
	if text, code := m.ask("restart", "web/3"); code != shell.ExitRefused {
		t.Errorf("an instance that is not there: %d, %s", code, text)
	}
	if text, code := m.ask("stop"); code != 0 {
		t.Errorf("stop all: %s", text)
	}
	m.ended = true
	if err := m.process.Wait(); err != nil {
		t.Error(err)
	}
	if err := follow.Wait(); err != nil || !strings.Contains(followed.String(), "has ended well") {
		t.Errorf("%v, followed: %s", err, &followed)
	}
	if text, code := m.ask("status"); code != shell.ExitUnreachable {
		t.Errorf("without a manager: %d, %s", code, text)
	}
}

// A program that ends again and again is given up; another goes on.
func TestGivingUp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "programs.yaml")
	err := os.WriteFile(file, []byte(`
programs:
  bad:
    command: [sh, -c, "echo I cannot; exit 7"]
    give_up: {failures: 2, within: 1m}
  good:
    command: [sleep, "300"]
  once:
    command: [sh, -c, "exit 0"]
    restart: on-failure
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	m := manage(t, "-c", file)
	s := m.await("it to be given up", func(s supervise.Status) bool {
		return first(s).State == "failed" && s.Programs[1].Instances[0].State == "running" && s.Programs[2].Instances[0].State == "finished"
	})
	if i := first(s); i.Restarts != 2 || i.LastEnd != "exit status 7" {
		t.Errorf("%+v", i)
	}
	if text, code := m.ask("status"); code != shell.ExitFailed || !strings.Contains(text, "given up: bad/1") {
		t.Errorf("%d: %s", code, text)
	}
	m.ended = true
	if err := m.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := m.process.Wait(); m.process.ProcessState.ExitCode() != 1 || !strings.Contains(m.output.String(), "given up: bad/1 (exit status 7)") {
		t.Errorf("it ended with %v:\n%s", err, &m.output)
	}
}

// A manager whose only program was given up has nothing left to do.
func TestTheManagerEndsWithItsProgram(t *testing.T) {
	m := manage(t, "--restart", "never", "--", "sh", "-c", "exit 4")
	m.ended = true
	if err := m.process.Wait(); m.process.ProcessState.ExitCode() != 1 {
		t.Errorf("it ended with %v:\n%s", err, &m.output)
	}
	m = manage(t, "--restart", "on-failure", "--", "sh", "-c", "exit 0")
	m.ended = true
	if err := m.process.Wait(); err != nil {
		t.Errorf("it ended with %v:\n%s", err, &m.output)
	}
}

// A manager that is killed takes its programs with it, so that another can have
// their addresses.
func TestProgramsEndWithTheManager(t *testing.T) {
	m := manageWeb(t)
	m.await("it to run", func(supervise.Status) bool { return true })
	address := strings.TrimPrefix(m.url(), "http://")
	if text, code := m.command("supervise", "--", "sleep", "1"), 0; text != nil {
		out, _ := text.CombinedOutput()
		if code = text.ProcessState.ExitCode(); code == 0 || !strings.Contains(string(out), "another manager has the runtime directory") {
			t.Errorf("a second manager: %d, %s", code, out)
		}
	}
	if err := m.end(syscall.SIGKILL); err == nil {
		t.Error("it ended well")
	}
	// The program holds the socket too. Its pid says nothing: where nobody reaps
	// orphans, a program that ended keeps it.
	testkit.Eventually(t, func() bool {
		l, err := net.Listen("tcp", address)
		if err == nil {
			l.Close()
		}
		return err == nil
	}, "the program to end")
}

// A second signal does not wait.
func TestASecondSignalKills(t *testing.T) {
	m := manage(t, "--", "sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done")
	testkit.Eventually(t, func() bool {
		text, _ := m.ask("logs")
		return strings.Contains(text, "deaf")
	}, "the program to be deaf")
	m.ended = true
	if err := m.process.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	m.await("it to stop", func(s supervise.Status) bool { return first(s).State == "stopping" })
	if err := m.process.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := m.process.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func TestMistakes(t *testing.T) {
	m := &manager{t: t, home: t.TempDir()}
	var err error
	if m.self, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, test := range []struct {
		arguments []string
		code      int
		says      string
	}{
		{[]string{}, shell.ExitUsage, "needs a program behind --"},
		{[]string{"stauts"}, shell.ExitUsage, "did you mean status?"},
		{[]string{"-c", "none.yaml", "--", "true"}, shell.ExitUsage, "no program beside it"},
		{[]string{"-c", "none.yaml"}, shell.ExitConfiguration, "none.yaml: cannot be read"},
		{[]string{"-n", "-1", "--", "true"}, shell.ExitUsage, "instances: is from 0 to 256"},
		{[]string{"--listen", "nowhere", "--", "true"}, shell.ExitUsage, "listen[0]: "},
		{[]string{"--log", "paper", "--", "true"}, shell.ExitUsage, "to: \"paper\" is none of"},
		{[]string{"--memory", "much", "--", "true"}, shell.ExitUsage, "--memory"},
		{[]string{"--", "no-such-program"}, shell.ExitFailed, "no-such-program"},
		{[]string{"--listen", l.Addr().String(), "--", "sleep", "1"}, shell.ExitLater, "another program has the address"},
		{[]string{"restart", "web/x"}, shell.ExitUsage, "names no instance"},
		{[]string{"notify"}, shell.ExitUsage, "needs something to tell"},
	} {
		if text, code := m.ask(test.arguments...); code != test.code || !strings.Contains(text, test.says) {
			t.Errorf("%q answers %d: %s", test.arguments, code, text)
		}
	}
}

// A shell script can speak the protocol.
func TestNotify(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m := manage(t, "--ready", "notify", "--", "sh", "-c", self+" supervise notify --ready --status 'by a shell'; sleep 300")
	m.await("it to be ready", func(s supervise.Status) bool { return first(s).State == "running" && first(s).Status == "by a shell" })
}
