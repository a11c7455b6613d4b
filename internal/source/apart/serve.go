package apart

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/apart/wire"
)

// Make returns what makes the source of a configuration, as [Options] has it.
type Make func(config []byte) (func(source.Env) (penstock.Source, error), error)

// Serve runs the one source that the gateway at the other end of the standard input
// asks for, until it is told to end, or ctx ends, or the gateway is gone.
func Serve(ctx context.Context, make Make) error {
	socket, err := socketOf(os.Stdin)
	if err != nil {
		return penstock.Errorf(penstock.Invalid, "only a gateway starts this command: its standard input is a pair of sockets: %w", err)
	}
	conn := wire.New(socket)
	var writer sync.WaitGroup
	writer.Go(conn.Run)
	err = serve(ctx, conn, make)
	conn.Finish()
	writer.Wait()
	conn.Close()
	return err
}

func serve(ctx context.Context, conn *wire.Conn, make Make) error {
	task, err := begin(conn)
	if err != nil {
		return err
	}
	create, err := make(task.Config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g := newGuest(conn, task)
	log := slog.New(&relay{guest: g})
	bound(task.Memory, log)
	env := g.env(task, log)
	var listener sync.WaitGroup
	listener.Go(func() { g.hear(cancel) })
	source.Keep(ctx, source.Spec{Name: task.Name, New: create}, env, g)
	conn.Finish()
	listener.Wait()
	return nil
}

// begin says of which build this process is, and hears what it is to do.
func begin(conn *wire.Conn) (wire.Task, error) {
	build, err := wire.Build()
	if err != nil {
		return wire.Task{}, penstock.Errorf(penstock.Unavailable, "the build of this process is not known: %w", err)
	}
	var o wire.Out
	o.Text(build)
	if err := conn.Send(wire.Hello, o); err != nil {
		return wire.Task{}, err
	}
	f, err := conn.Receive()
	if err != nil {
		return wire.Task{}, penstock.Errorf(penstock.Closed, "the gateway has nothing to do for this process: %w", err)
	}
	in := wire.Read(f.Body)
	task := in.Task()
	if err := in.Err(); err != nil || f.Kind != wire.Start {
		return wire.Task{}, penstock.Errorf(penstock.Corrupt, "the gateway does not say what to do")
	}
	return task, nil
}

// env returns what the node lends the source.
func (g *guest) env(task wire.Task, log *slog.Logger) source.Env {
	env := source.Env{
		Name: task.Name, Evidence: evidence.NewToldBook(time.Now, g.note), Auth: g, Status: g, Listen: g.listen, ListenPacket: g.listenPacket,
		Bound: g.bound, Keys: g, Marks: g, SameDisk: task.SameDisk, Log: log, Now: time.Now, Rand: rand.Reader, Memory: new(any), Files: task.Files,
		Retain: g.retain,
	}
	if len(task.Recall) > 0 {
		env.Recall = task.Recall
	}
	if task.Strange {
		env.Newcomers = g
	}
	if task.Choosy {
		env.Lets = g.lets
	}
	return env
}
