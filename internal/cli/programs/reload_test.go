package programs_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/cli/shell"
	"github.com/penstock/penstock/internal/supervise"
	"github.com/penstock/penstock/internal/testkit"
)

// listed is a manager with a file.
type listed struct {
	*manager
	file, socket string
}

// manageFile runs the programs of a file, in which SELF is the program of these tests
// and SOCKET the path of a socket.
func manageFile(t *testing.T, text string) *listed {
	t.Helper()
	dir := t.TempDir()
	l := &listed{file: filepath.Join(dir, "programs.yaml"), socket: filepath.Join(dir, "web.sock")}
	l.write(t, text)
	l.manager = manage(t, "-c", l.file)
	l.await("all to run", func(s supervise.Status) bool {
		for _, p := range s.Programs {
			for _, i := range p.Instances {
				if i.State != "running" {
					return false
				}
			}
		}
		return true
	})
	return l
}

func (l *listed) write(t *testing.T, text string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text = strings.NewReplacer("SELF", self, "SOCKET", l.socket).Replace(text)
	if err := os.WriteFile(l.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reload has the file read again, and looks for words in the answer.
func (l *listed) reload(code int, says ...string) {
	l.t.Helper()
	text, got := l.ask("reload")
	for _, want := range says {
		if !strings.Contains(text, want) {
			l.t.Errorf("the answer has no %q", want)
		}
	}
	if got != code || l.t.Failed() {
		l.t.Fatalf("reload answers %d:\n%s", got, text)
	}
}

// running returns the processes that run, by program and number.
func (l *listed) running() map[string]int {
	l.t.Helper()
	s, ok := l.status()
	if !ok {
		l.t.Fatal("the manager does not answer")
	}
	pids := map[string]int{}
	for _, p := range s.Programs {
		for _, i := range p.Instances {
			pids[fmt.Sprintf("%s/%d", p.Name, i.Number)] = i.PID
		}
	}
	return pids
}

// client asks the child at the socket, each time over a connection of its own.
func (l *listed) client() *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", l.socket)
	}}}
}

const plant = `
programs:
  web:
    command: [SELF, child]
    listen: ["web=unix:SOCKET"]
    ready: notify
    instances: 2
  steady: {command: [sleep, "300"]}
  pair: {command: [sleep, "301"], instances: 2}
  old: {command: [sleep, "302"]}
`

// Programs are added, removed and changed while others ask one of them; nobody is
// refused, and what is as it was is not touched.
func TestReloadChangesWhatHasChanged(t *testing.T) {
	l := manageFile(t, plant)
	before := l.running()
	l.reload(shell.ExitOK, "Nothing has changed.")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var work sync.WaitGroup
	var mu sync.Mutex
	asked, failed := 0, []error{}
	for range 4 {
		client := l.client()
		work.Go(func() {
			for ctx.Err() == nil {
				response, err := client.Get("http://web/")
				if err == nil {
					err = response.Body.Close()
				}
				mu.Lock()
				asked++
				if err != nil {
					failed = append(failed, err)
				}
				mu.Unlock()
			}
		})
	}
	l.write(t, strings.NewReplacer(`old: {command: [sleep, "302"]}`, `new: {command: [sleep, "303"]}`, "instances: 2}", "instances: 3, memory: 1GiB}",
		"    ready: notify\n", "    ready: notify\n    environment: {COLOUR: blue}\n").Replace(plant))
	l.reload(shell.ExitOK, "old/1: has ended\n", "new/1: was started in ", "pair/3: was started in ", "pair/1: memory: holds from now on",
		"web/1: environment: was replaced in ", "web/2: environment: was replaced in ")
	stop()
	work.Wait()
	if len(failed) > 0 || asked < 20 {
		t.Errorf("%d of %d requests failed: %v", len(failed), asked, failed)
	}
	after := l.running()
	for name, same := range map[string]bool{"steady/1": true, "pair/1": true, "pair/2": true, "web/1": false, "web/2": false} {
		if (before[name] == after[name]) != same {
			t.Errorf("%s was %d and is %d", name, before[name], after[name])
		}
	}
	if _, there := after["old/1"]; there || after["new/1"] == 0 || after["pair/3"] == 0 || len(after) != 7 {
		t.Errorf("it runs %v", after)
	}
	if environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", after["web/2"])); err != nil || !strings.Contains(string(environment), "COLOUR=blue") {
		t.Errorf("the new process has not the new environment: %v", err)
	}
	l.write(t, plant)
	if err := l.process.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	l.await("the first file again", func(s supervise.Status) bool {
		text, _ := l.ask("logs", "supervise")
		return len(l.running()) == 6 && strings.Contains(text, "old/1") && strings.Contains(text, "pair/3")
	})
	if again := l.running(); again["steady/1"] != before["steady/1"] || again["pair/2"] != before["pair/2"] {
		t.Errorf("what was not changed was touched: %v, before %v", again, before)
	}
}

// A file with a mistake, and one that names what is not there, change nothing and are
// told by line and key.
func TestReloadOfABadFileChangesNothing(t *testing.T) {
	l := manageFile(t, plant)
	before := l.running()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for text, says := range map[string][]string{
		strings.Replace(plant, "instances: 2}", "instances: many}", 1):                                {"nothing was changed", "programs.yaml:9:", "programs.pair.instances"},
		strings.Replace(plant, `old: {command: [sleep, "302"]}`, "old: {comand: [x]}", 1):             {"programs.yaml:10:", "did you mean"},
		strings.Replace(plant, `"302"]}`, `"302"], restart: maybe}`, 1):                               {"programs.yaml:10:", "programs.old.restart"},
		strings.Replace(plant, `[sleep, "302"]`, `[no-such-program]`, 1):                              {"nothing was changed", "programs.yaml:10:", "programs.old.command", "no-such-program"},
		strings.Replace(plant, `"302"]`, `"302"], listen: ["`+taken.Addr().String()+`"]`, 1):          {"programs.yaml:10:", "programs.old.listen[0]", "another program has the address"},
		strings.Replace(plant, "old:", "older:", 1) + "  bad: {command: [sleep, \"1\"], memory: 1}\n": {"programs.yaml:11:", "programs.bad.memory"},
		"programs: {}": {"needs 1 to 64 programs"},
	} {
		l.write(t, text)
		l.reload(shell.ExitConfiguration, says...)
	}
	if after := l.running(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("it ran %v and runs %v", before, after)
	}
	if err := os.Remove(l.file); err != nil {
		t.Fatal(err)
	}
	l.reload(shell.ExitConfiguration, "cannot be read")
	if text, _ := manageWeb(t).ask("reload"); !strings.Contains(text, "without a file (-c FILE)") {
		t.Errorf("a manager without a file answers: %s", text)
	}
}

// A change that does not work leaves the program as it was, also when its process
// ends later, and concerns no other.
func TestReloadThatFailsGoesBack(t *testing.T) {
	l := manageFile(t, plant)
	before := l.running()
	broken := strings.NewReplacer("command: [SELF, child]", `command: [sh, -c, "exit 3"]`, `"302"`, `"304"`).Replace(plant)
	l.write(t, broken)
	l.reload(shell.ExitFailed, "web/1: ", "exit status 3", "web goes on as it was", "old/1: command: was replaced")
	after := l.running()
	if after["web/1"] != before["web/1"] || after["web/2"] != before["web/2"] || after["old/1"] == before["old/1"] {
		t.Errorf("it ran %v and runs %v", before, after)
	}
	if err := syscall.Kill(after["web/1"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	l.await("the old definition to start again", func(s supervise.Status) bool {
		i := s.Programs[3].Instances[0]
		return i.State == "running" && i.PID != after["web/1"] && i.Status == "serves"
	})
	l.reload(shell.ExitFailed, "web/1: ") // it is tried again
	l.write(t, strings.Replace(plant, `"302"`, `"304"`, 1))
	l.reload(shell.ExitOK, "Nothing has changed.")
}

// What a person stopped stays so, and a socket stays with its address when the
// program that has it gets another name.
func TestReloadOfStoppedAndRenamedPrograms(t *testing.T) {
	l := manageFile(t, plant)
	if text, code := l.ask("stop", "steady"); code != 0 {
		t.Fatal(text)
	}
	l.await("it to stop", func(s supervise.Status) bool { return s.Programs[2].Instances[0].State == "stopped" })
	socket, err := os.Stat(l.socket)
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, strings.NewReplacer(`"300"`, `"310"`, "  web:", "  site:").Replace(plant))
	l.reload(shell.ExitOK, "steady/1: command: holds from its next start", "web/2: has ended", "site/2: was started in ")
	if same, err := os.Stat(l.socket); err != nil || !os.SameFile(socket, same) {
		t.Errorf("the socket is another: %v", err)
	}
	response, err := l.client().Get("http://site/")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if text, code := l.ask("restart", "steady"); code != 0 {
		t.Error(text)
	}
	if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", l.running()["steady/1"])); err != nil || !strings.Contains(string(line), "310") {
		t.Errorf("it was started as %q: %v", line, err)
	}
	l.write(t, "programs:\n  steady: {command: [sleep, \"310\"]}\nlog: {level: warn}\n")
	l.reload(shell.ExitOK, "log: holds from the next start", "site/1: has ended", "pair/2: has ended")
	if _, err := os.Stat(l.socket); err == nil {
		t.Error("the socket of nobody is still there")
	}
	testkit.Eventually(t, func() bool { s, ok := l.status(); return ok && len(s.Programs) == 1 }, "one program")
}
