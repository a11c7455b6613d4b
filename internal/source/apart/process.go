package apart

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source/apart/wire"
)

// markName is the variable that tells a process that it serves a source. Such a one
// starts no other: a program that does not know the arguments would start itself
// without end.
const markName = "PENSTOCK_APART"

// inherited are the variables that the process gets of ours. Others may be
// somebody's secret.
var inherited = []string{
	"PATH", "HOME", "TMPDIR", "TZ", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "GODEBUG", "GORACE", "GOCOVERDIR", "SUPERVISE_MARK",
}

// process is one that serves a source.
type process struct {
	cmd   *exec.Cmd
	words lastWords
	work  sync.WaitGroup
	done  chan struct{} // closed when it was waited for
	err   error         // how it ended; set before done is closed
}

// launch starts this program once more, with the socket as its standard input.
func launch(args []string, socket *os.File) (*process, error) {
	if os.Getenv(markName) != "" {
		return nil, penstock.Errorf(penstock.Internal, "the process of a source starts no other")
	}
	p := &process{cmd: exec.Command(wire.Program), done: make(chan struct{})}
	p.cmd.Args = append([]string{os.Args[0]}, args...)
	p.cmd.Env = []string{markName + "=1", "GOTRACEBACK=single"}
	for _, name := range inherited {
		if value, set := os.LookupEnv(name); set {
			p.cmd.Env = append(p.cmd.Env, name+"="+value)
		}
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = socket, &p.words, &p.words // one pipe for both, and no file of the machine
	p.cmd.WaitDelay = farewell
	// In a group of its own, so that Ctrl-C in a terminal is the gateway's alone.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	p.work.Go(func() {
		// The kernel ends a child when the thread that started it ends: this one stays.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.done)
		}
	})
	if err := <-started; err != nil {
		p.work.Wait()
		return nil, penstock.Errorf(penstock.Unavailable, "a process for the source cannot be started from %s, which needs /proc: %w", wire.Program, err)
	}
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// kill ends the process at once.
func (p *process) kill() { _ = p.cmd.Process.Kill() } // it may have ended

// wait returns when the process has ended: how, empty for in good order, and what
// it wrote last. One that is not about to end by itself is killed.
func (p *process) wait(ending bool) (how string, words *lastWords) {
	if !ending {
		p.kill()
	}
	late := time.AfterFunc(farewell, p.kill)
	defer late.Stop()
	<-p.done
	p.work.Wait()
	var exit *exec.ExitError
	switch {
	case errors.As(p.err, &exit):
		how = exit.String()
	case p.err != nil:
		how = p.err.Error()
	}
	return how, &p.words
}

// Limits of what is kept of a process's words.
const (
	maxStory = 16 << 10 // bytes from the line on that says why it dies
	maxTail  = 4 << 10  // bytes before there is such a line
)

// storyBegins are the beginnings of the line in which the runtime says why the
// process dies.
var storyBegins = []string{"panic: ", "fatal error: ", "runtime: ", "runtime/cgo: ", "unexpected fault address ", "SIGABRT: ", "SIGSEGV: ", "SIGBUS: ", "SIGQUIT: "}

// lastWords keeps what a process wrote last, and once it says why it dies, what it
// says from there on.
type lastWords struct {
	kept  []byte
	story bool
	line  int // where the last line begins in kept
}

// Write implements io.Writer.
func (w *lastWords) Write(b []byte) (int, error) {
	for line := range bytes.Lines(b) {
		w.add(line)
	}
	return len(b), nil
}

// add adds a line, or a part of one.
func (w *lastWords) add(part []byte) {
	if w.story {
		w.kept = append(w.kept, part[:min(len(part), max(0, maxStory-len(w.kept)))]...)
		return
	}
	w.kept = append(w.kept, part...)
	if tells(w.kept[w.line:]) {
		w.story, w.kept = true, w.kept[w.line:]
		return
	}
	if part[len(part)-1] == '\n' {
		w.line = len(w.kept)
	}
	if over := len(w.kept) - maxTail; over > 0 {
		w.kept, w.line = slices.Delete(w.kept, 0, over), max(0, w.line-over)
	}
}

func tells(line []byte) bool {
	return slices.ContainsFunc(storyBegins, func(begin string) bool { return bytes.HasPrefix(line, []byte(begin)) })
}

// text returns what is kept.
func (w *lastWords) text() string { return strings.TrimSpace(strings.ToValidUTF8(string(w.kept), "?")) }

// gist returns the line that says most.
func (w *lastWords) gist() string {
	lines := strings.Split(w.text(), "\n")
	if w.story {
		return lines[0]
	}
	return lines[len(lines)-1]
}
