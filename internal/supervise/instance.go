package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/notify"
	"github.com/penstock/penstock/internal/supervise/capture"
	"github.com/penstock/penstock/internal/supervise/lifecycle"
	"github.com/penstock/penstock/internal/supervise/process"
)

// instance is one of the processes of a program that run side by side, with
// those that take its place. Its machine decides, and this carries it out.
type instance struct {
	manager *Manager
	name    string             // of the program
	number  int                // from 1 on
	machine *lifecycle.Machine // of the goroutine of run
	events  chan lifecycle.Event
	done    chan struct{}      // closed when run has ended
	leave   context.CancelFunc // ends run once nothing runs any more; set before run
	log     *slog.Logger

	mu        sync.Mutex // guards what is below
	how       *definition
	before    *definition // to go back to, while a replacement by another definition is under way; nil for none
	view      lifecycle.View
	processes map[lifecycle.Generation]*child
	waiting   chan error // of who asked for a replacement; nil for nobody
	idle      bool
}

// child is a process that runs.
type child struct {
	pid      int
	started  time.Time
	mark     string
	receiver *notify.Receiver
}

func (i *instance) String() string { return i.name + "/" + strconv.Itoa(i.number) }

// run carries out what the machine decides until ctx has ended and nothing runs.
// It begins with first.
func (i *instance) run(ctx context.Context, first lifecycle.Kind) {
	defer close(i.done)
	stop := ctx.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	i.take(lifecycle.Event{Kind: first})
	for !i.machine.Idle() || ctx.Err() == nil {
		timer.Stop()
		if next := i.machine.Next(); !next.IsZero() {
			timer.Reset(max(0, next.Sub(i.manager.o.Now())))
		}
		select {
		case e := <-i.events:
			i.take(e)
		case <-timer.C:
			i.take(lifecycle.Event{})
		case <-stop:
			stop = nil
			i.take(lifecycle.Event{Kind: lifecycle.Stop})
		}
	}
}

// take gives an event to the machine and does what it asks for.
func (i *instance) take(e lifecycle.Event) {
	for todo := []lifecycle.Event{e}; len(todo) > 0; todo = todo[1:] {
		i.machine.Govern(i.definition().policy)
		for _, a := range i.machine.Step(i.manager.o.Now(), todo[0]) {
			if a.Launch != 0 {
				if err := i.launch(a); err != nil {
					todo = append(todo, lifecycle.Event{Kind: lifecycle.NotStarted, Of: a.Launch, How: err.Error()})
				}
				continue
			}
			i.do(a)
		}
	}
	i.mu.Lock()
	// Together, so that nobody is shown a process that runs and has no number.
	i.view, i.idle = i.machine.View(), i.machine.Idle()
	var gone *child
	if e.Kind == lifecycle.Ended {
		gone = i.processes[e.Of]
		delete(i.processes, e.Of)
	}
	i.mu.Unlock()
	if gone != nil {
		if err := gone.receiver.Close(); err != nil {
			i.log.Warn("the socket of notifications could not be removed", "error", err)
		}
	}
	i.manager.changed()
}

func (i *instance) do(a lifecycle.Action) {
	c := i.child(a.Of)
	var err error
	switch {
	case a.Done:
		i.answer(a.Err)
	case a.Say != "":
		i.log.Log(context.Background(), a.Level, a.Say)
	case c == nil: // it was never started
	case a.Signal != 0:
		err = i.manager.keeper.Signal(c.pid, a.Signal)
	case a.Kill:
		err = i.manager.keeper.Kill(context.Background(), c.mark)
	}
	if err != nil {
		i.log.Error("a process could not be ended", "generation", a.Of, "error", err)
	}
}

func (i *instance) definition() *definition {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.how
}

// redefine has the instance run by another definition. A process that runs stays.
func (i *instance) redefine(d *definition) {
	i.mu.Lock()
	i.how = d
	i.mu.Unlock()
	i.send(lifecycle.Event{Kind: lifecycle.Tick})
}

func (i *instance) child(g lifecycle.Generation) *child {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.processes[g]
}

// answer tells who asked for a replacement how it went. One by another definition
// that failed leaves the one before.
func (i *instance) answer(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err != nil && i.before != nil {
		i.how = i.before
	}
	i.before = nil
	if i.waiting != nil {
		i.waiting <- err
		i.waiting = nil
	}
}

// send gives an event to the goroutine of run.
func (i *instance) send(e lifecycle.Event) {
	select {
	case i.events <- e:
	case <-i.done:
	}
}

// replace asks for a new process, by another definition unless d is nil, and waits
// until it serves and the old one is gone, or until ctx ends, which stops nothing.
func (i *instance) replace(ctx context.Context, d *definition) error {
	answer, err := i.expect(d)
	if err != nil {
		return err
	}
	i.send(lifecycle.Event{Kind: lifecycle.Replace})
	return i.hearAnswer(ctx, answer)
}

// expect notes that somebody waits for a replacement.
func (i *instance) expect(d *definition) (<-chan error, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.waiting != nil {
		return nil, penstock.Errorf(penstock.Conflict, "%s is being replaced already: try again when it was", i)
	}
	if d != nil {
		i.before, i.how = i.how, d
	}
	i.waiting = make(chan error, 1)
	return i.waiting, nil
}

func (i *instance) hearAnswer(ctx context.Context, answer <-chan error) error {
	select {
	case err := <-answer:
		if err != nil {
			return penstock.Errorf(penstock.CodeOf(err), "%s: %w", i, err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-i.done:
		return penstock.Errorf(penstock.Closed, "%s: it is not run any more", i)
	}
}

// launch starts a process.
func (i *instance) launch(a lifecycle.Action) (err error) {
	c := &child{started: i.manager.o.Now(), mark: fmt.Sprintf("%s/%d/%d/%d", i.name, i.number, a.Launch, os.Getpid())}
	d := i.definition()
	path, err := d.program.path()
	if err != nil {
		return err
	}
	c.receiver, err = notify.Listen(i.manager.file("notify", fmt.Sprintf("%s.%d.%d", i.name, i.number, a.Launch)))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.receiver.Close())
		}
	}()
	pipes, err := openPipes()
	if err != nil {
		return err
	}
	defer pipes.closeWriters()
	spec := process.Spec{
		Path: path, Args: append([]string{path}, d.program.Command[1:]...), Dir: d.program.Directory, Mark: c.mark,
		Environ: i.environ(d, c, a.TakeOver), Files: []int{pipes.null, pipes.out[1], pipes.err[1]},
	}
	if len(d.sockets) > 0 {
		// Only the process itself knows the number that LISTEN_PID asks for.
		spec.Path, spec.Args = self, append(slices.Clip(i.manager.o.Shim), spec.Args...)
		for _, s := range d.sockets {
			spec.Files = append(spec.Files, s.Descriptor())
		}
	}
	exits := make(chan process.Exit, 1)
	c.pid, err = i.manager.keeper.Start(context.Background(), spec, func(e process.Exit) { exits <- e })
	if err != nil {
		pipes.closeReaders()
		return err
	}
	i.mu.Lock()
	i.processes[a.Launch] = c
	i.mu.Unlock()
	i.attend(a.Launch, c, pipes, exits)
	return nil
}

// self is the file of this program, also when another has taken its place on
// the disk.
const self = "/proc/self/exe"

// attend hears what a process prints and says, and waits for its end.
func (i *instance) attend(g lifecycle.Generation, c *child, p *pipes, exits <-chan process.Exit) {
	i.manager.work.Go(func() { i.read(p.out[0], c.pid, capture.Info) })
	i.manager.work.Go(func() { i.read(p.err[0], c.pid, capture.Warning) })
	i.manager.work.Go(func() { i.hear(g, c.receiver) })
	i.manager.work.Go(func() {
		e := <-exits
		i.send(lifecycle.Event{Kind: lifecycle.Ended, Of: g, Clean: e == process.Exit{}, How: e.String()})
	})
}

// read takes the lines that a process prints.
func (i *instance) read(fd, pid int, otherwise capture.Severity) {
	f := os.NewFile(uintptr(fd), i.String())
	defer f.Close()
	err := capture.Read(f, otherwise, func(s capture.Severity, text string) {
		i.manager.lines.Add(capture.Line{Severity: s, Program: i.name, Instance: i.number, PID: pid, Text: text})
	})
	if err != nil {
		i.log.Warn("its output could not be read to the end", "error", err)
	}
}

// hear takes what a process says of itself.
func (i *instance) hear(g lifecycle.Generation, r *notify.Receiver) {
	for {
		m, err := r.Receive()
		switch {
		case err == nil:
			i.send(lifecycle.Event{Kind: lifecycle.Notified, Of: g, Message: m})
		case penstock.CodeOf(err) == penstock.Closed:
			return
		default:
			i.log.Warn("a notification was not understood", "error", err)
		}
	}
}

// environ returns the variables of a process.
func (i *instance) environ(d *definition, c *child, takeOver time.Duration) []string {
	own := map[string]string{
		"NOTIFY_SOCKET": c.receiver.Path(), "SUPERVISE_PROGRAM": i.name, "SUPERVISE_INSTANCE": strconv.Itoa(i.number),
	}
	if w := d.program.Watchdog.Std(); w > 0 {
		own["WATCHDOG_USEC"] = strconv.FormatInt(w.Microseconds(), 10)
	}
	if takeOver > 0 {
		own["TAKE_OVER_USEC"] = strconv.FormatInt(takeOver.Microseconds(), 10)
	}
	if len(d.sockets) > 0 {
		names := make([]string, len(d.sockets))
		for n, s := range d.sockets {
			names[n] = s.Name
		}
		own["LISTEN_FDS"], own["LISTEN_FDNAMES"] = strconv.Itoa(len(names)), strings.Join(names, ":")
	}
	var environ []string
	for _, pair := range i.manager.o.Environ {
		name, _, _ := strings.Cut(pair, "=")
		switch name {
		case "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "TAKE_OVER_USEC", process.MarkName:
			continue // the manager's own
		}
		environ = append(environ, pair)
	}
	for _, values := range []map[string]string{d.program.Environment, own} { // the last of a name holds
		for name, value := range values {
			environ = append(environ, name+"="+value)
		}
	}
	return environ
}

// pipes are what a process prints to, and the nothing that it reads.
type pipes struct {
	null     int
	out, err [2]int
}

func openPipes() (*pipes, error) {
	var p pipes
	var err error
	if p.null, err = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("open /dev/null: %w", err)
	}
	for n, pipe := range []*[2]int{&p.out, &p.err} {
		if err = unix.Pipe2(pipe[:], unix.O_CLOEXEC); err == nil {
			err = unix.SetNonblock(pipe[0], true)
		}
		if err != nil {
			unix.Close(p.null)
			if n == 1 {
				unix.Close(p.out[0])
				unix.Close(p.out[1])
			}
			return nil, fmt.Errorf("make a pipe: %w", err)
		}
	}
	return &p, nil
}

// closeWriters closes what the process has by now.
func (p *pipes) closeWriters() {
	for _, fd := range []int{p.null, p.out[1], p.err[1]} {
		unix.Close(fd)
	}
}

func (p *pipes) closeReaders() {
	unix.Close(p.out[0])
	unix.Close(p.err[0])
}
