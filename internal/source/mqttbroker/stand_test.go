package mqttbroker_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/mqttbroker"
	"github.com/penstock/penstock/internal/source/sourcetest"
)

// stand is a broker that runs, with a desk in the place of the pipeline.
type stand struct {
	address string
	desk    *sourcetest.Desk
	port    *evidence.Page
	book    *evidence.Book
	stop    func()
}

// options change how a stand is made.
type options struct {
	config mqttbroker.Config // the zero Config means plain()
	auth   source.Authenticator
	next   penstock.Handler // nil means the desk
	env    func(*source.Env)
}

// ready is a status that tells once that the source is at work.
type ready struct {
	once sync.Once
	ok   chan struct{}
}

func (r *ready) OK()            { r.once.Do(func() { close(r.ok) }) }
func (r *ready) Failing(string) {}

func newStand(t testing.TB, o options) *stand {
	t.Helper()
	st := &stand{desk: sourcetest.NewDesk(nil), book: evidence.NewBook(time.Now)}
	if o.config.TLS == "" {
		o.config = plain()
	}
	if o.next == nil {
		o.next = st.desk
	}
	status, where := &ready{ok: make(chan struct{})}, &addresses{}
	env := sourcetest.Env(st.book, status, o.auth)
	env.Bound = where.bound
	if o.env != nil {
		o.env(&env)
	}
	if err := o.config.Validate(); err != nil {
		t.Fatal(err)
	}
	b, err := mqttbroker.New(config.Address("127.0.0.1:0"), o.config, env)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := b.Run(ctx, o.next); err != nil {
			t.Error(err)
		}
	})
	st.stop = sync.OnceFunc(func() { cancel(); work.Wait() })
	t.Cleanup(st.stop)
	<-status.ok
	st.address, st.port = where.get(), st.book.Port(env.Name)
	return st
}
