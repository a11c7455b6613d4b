package channel_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/logging/channel"
)

// place is where lines go: away, blocked, or taking them.
type place struct {
	mu     sync.Mutex
	away   error
	block  bool
	lines  []string
	closed bool
}

func (p *place) set(away error) { p.mu.Lock(); defer p.mu.Unlock(); p.away = away }

func (p *place) Send(ctx context.Context, line []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.block {
		<-ctx.Done()
		return ctx.Err()
	}
	if p.away == nil {
		p.lines = append(p.lines, string(line))
	}
	return p.away
}

func (p *place) Probe(context.Context) error { p.mu.Lock(); defer p.mu.Unlock(); return p.away }
func (p *place) Close() error                { p.closed = true; return nil }

// health notes what it is told.
type health struct{ said []string }

func (h *health) OK()                { h.said = append(h.said, "ok") }
func (h *health) Failing(why string) { h.said = append(h.said, why) }

// run runs the channel until the function returned is called.
func run(c *channel.Channel) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	last, cut := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { c.Run(ctx, last) })
	return func() {
		cancel()
		time.AfterFunc(time.Second, cut)
		work.Wait()
	}
}

func TestAwayAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &place{away: errors.New("refused")}
		var h health
		c := channel.New(to, channel.Options{Lines: 3})
		c.Watch(&h)
		stop := run(c)
		for i := range 5 {
			fmt.Fprintf(c, "line %d", i)
		}
		time.Sleep(time.Minute)
		if s := c.State(); !s.Failing || s.Why != "refused" || s.Dropped != 2 || s.Queued != 3 {
			t.Errorf("while it is away: %+v", s)
		}
		to.set(nil)
		time.Sleep(10 * time.Second)
		if s := c.State(); s.Failing || s.Sent != 3 || s.Queued != 0 || s.Dropped != 2 {
			t.Errorf("when it is back: %+v", s)
		}
		to.set(errors.New("gone while idle"))
		time.Sleep(5 * time.Second)
		to.set(nil)
		time.Sleep(10 * time.Second)
		fmt.Fprint(c, "last")
		stop()
		if got := strings.Join(to.lines, ","); got != "line 0,line 1,line 2,last" || !to.closed {
			t.Errorf("got %s", got)
		}
		if got := strings.Join(h.said, ","); got != "refused,ok,gone while idle,ok" {
			t.Errorf("health was told %s", got)
		}
	})
}

// A place that takes nothing and never answers delays nobody, not even the end.
func TestBlockedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := channel.New(&place{block: true}, channel.Options{Bytes: 1000})
		stop := run(c)
		began := time.Now()
		for range 1000 {
			fmt.Fprint(c, strings.Repeat("x", 10))
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("who writes waited %v", took)
		}
		synctest.Wait()
		if s := c.State(); s.Dropped != 900 || s.Queued != 100 {
			t.Errorf("%+v", s)
		}
		stop()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the end took %v", took)
		}
	})
}
