package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/health"
	"github.com/penstock/penstock/internal/notify"
	"github.com/penstock/penstock/internal/spool"
)

// herald tells the process manager, where there is one, how the gateway is.
type herald struct {
	sender *notify.Sender
	log    *slog.Logger
}

func (h herald) tell(err error) {
	if err != nil {
		h.log.Warn("the process manager could not be told", "error", err)
	}
}

func (h herald) ready()     { h.tell(h.sender.Ready("answers")) }
func (h herald) reloading() { h.tell(h.sender.Reloading()) }
func (h herald) stopping()  { h.tell(h.sender.Stopping("answers what is under way")) }

func (h herald) awaitPredecessor() {
	h.log.Info("another process has the data directory: this one takes over when that one has ended")
	h.tell(h.sender.AwaitPredecessor())
}

// The patience that is asked for while a start reads a long spool.
const (
	extendEvery = 10 * time.Second
	extendBy    = 60 * time.Second
)

// whileStarting calls work, and asks the manager for more time until it returns.
func (h herald) whileStarting(work func()) {
	if !h.sender.Heard() {
		work()
		return
	}
	over := make(chan struct{})
	var asking sync.WaitGroup
	defer asking.Wait()
	defer close(over)
	asking.Go(func() {
		tick := time.NewTicker(extendEvery)
		defer tick.Stop()
		for {
			h.tell(h.sender.Extend(extendBy, "reads its data"))
			select {
			case <-tick.C:
			case <-over:
				return
			}
		}
	})
	work()
}

// heraldEvery is how often the manager is told the state, unless its watchdog asks
// for more.
const heraldEvery = time.Second

// keepManagerInformed feeds the watchdog as long as the spool can acknowledge and no
// stage stands still, and tells the state in words.
func (g *gateway) keepManagerInformed(ctx context.Context) error {
	if !g.herald.sender.Heard() {
		return nil
	}
	every := heraldEvery
	if w := g.herald.sender.Watchdog(); w > 0 {
		every = min(every, w/4)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var p pulse
	last := ""
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if p.beats(g.spool.State()) && g.watcher.Healthy() && g.herald.sender.Watchdog() > 0 {
			g.herald.tell(g.herald.sender.Alive())
		}
		if text := stateText(g.health.Snapshot()); text != last {
			last = text
			g.herald.tell(g.herald.sender.Status(text))
		}
	}
}

// pulse tells from looks at the spool whether it can acknowledge.
type pulse struct{ durable penstock.Position }

// beats tells whether the spool has nothing to write or wrote since the last
// look. A spool that is full refuses in good order, and no restart would make
// room: it counts as alive. One whose disk failed does not.
func (p *pulse) beats(s spool.State) bool {
	moved := s.Durable != p.durable
	p.durable = s.Durable
	switch s.Health {
	case spool.Healthy:
		return s.Pending == 0 || moved
	case spool.Refusing:
		return true
	}
	return false
}

// stateText says the state of the gateway in a sentence.
func stateText(s health.Snapshot) string {
	text := "answers"
	for _, c := range s.Components {
		if c.Status != health.Failing {
			continue
		}
		if c.Needed {
			return "refuses reports: " + c.Name + ": " + c.Why
		}
		text = "accepts reports; " + c.Name + ": " + c.Why
	}
	if s.Status == health.Draining {
		return "answers what is under way"
	}
	return text
}

// lockEvery is how often a directory that another process has is tried.
const lockEvery = 5 * time.Millisecond

// awaitDirectory opens the data directory. When another process has it, it waits
// up to patience for that one to end, and says so before.
func awaitDirectory(ctx context.Context, path string, patience time.Duration, waiting func()) (*Directory, error) {
	d, err := openDirectory(path)
	if patience <= 0 || penstock.CodeOf(err) != penstock.Conflict {
		return d, err
	}
	waiting()
	end := time.NewTimer(patience)
	defer end.Stop()
	again := time.NewTicker(lockEvery)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-end.C:
			return nil, penstock.Errorf(penstock.Conflict, "it was waited for %s: %w", patience, err)
		case <-again.C:
		}
		if d, err = openDirectory(path); penstock.CodeOf(err) != penstock.Conflict {
			return d, err
		}
	}
}
