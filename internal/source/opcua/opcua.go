package opcua

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/opcua/session"
)

// Source subscribes the variables of one server.
type Source struct {
	settings
	env         source.Env
	port        *evidence.Page
	controllers []string
	memory      *memory
}

// New returns a source that subscribes what the configuration says.
func New(c Config, env source.Env) (*Source, error) {
	settings, err := newSettings(c)
	if err != nil {
		return nil, err
	}
	s := &Source{settings: settings, env: env, port: env.Evidence.Port(env.Name)}
	for _, g := range s.groups {
		for _, n := range g.nodes {
			s.controllers = append(s.controllers, n.Controller)
		}
	}
	slices.Sort(s.controllers)
	s.controllers = slices.Compact(s.controllers)
	s.memory, err = source.Remembered(env, func() (*memory, error) { return newMemory(env, len(s.groups)), nil })
	return s, err
}

// Run subscribes and hands on what the server sends until ctx ends or the
// connection is lost.
func (s *Source) Run(ctx context.Context, next penstock.Handler) error {
	client, err := session.Connect(ctx, s.session, s.env)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, context.DeadlineExceeded) {
			s.note(evidence.Timeout)
		}
		return err
	}
	s.port.Peer(s.Endpoint)
	s.note(evidence.Connected)
	err = s.feed(ctx, client, next)
	if ctx.Err() != nil {
		client.Leave(ctx, false)
		return nil
	}
	s.note(evidence.Lost)
	client.Leave(ctx, true)
	return err
}

// note counts an event of the connection, which is one of every controller behind
// it.
func (s *Source) note(e evidence.Event) {
	s.port.Count(e)
	for _, name := range s.controllers {
		s.env.Evidence.Controller(name).Count(e)
	}
}

// feed runs both halves: what comes in, and what is acknowledged.
func (s *Source) feed(ctx context.Context, client *session.Client, next penstock.Handler) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	f := &feed{
		Source: s, client: client, byID: map[uint32]*subscription{},
		window: source.NewWindow[delivery](next, s.env.Status, maxUndecided),
		owner:  source.Own(s.env.Name, s.controllers),
	}
	var work sync.WaitGroup
	work.Go(func() { fail(f.window.Run(ctx, f)) })
	err := f.run(ctx)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	fail(err)
	work.Wait()
	return err
}

// patience is how long a subscription may be silent: two of its keepalives may be
// lost on the way.
func (s *settings) patience(keepalive time.Duration) time.Duration { return 2*keepalive + s.timeout }

// keepalives is the number of silent publishing intervals before a keepalive.
func keepalives(every, publish time.Duration) uint32 {
	return uint32(max(1, (every+publish-1)/publish))
}
