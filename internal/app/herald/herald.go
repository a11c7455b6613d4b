// Package herald tells the process manager, where there is one, how the gateway is.
package herald

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

// Herald tells the process manager how the gateway is.
type Herald struct {
	sender *notify.Sender
	log    *slog.Logger
}

// New returns a herald that tells what the sender sends.
func New(sender *notify.Sender, log *slog.Logger) Herald { return Herald{sender, log} }

func (h Herald) tell(err error) {
	if err != nil {
		h.log.Warn("the process manager could not be told", "error", err)
	}
}

// Ready tells that the gateway answers.
func (h Herald) Ready() { h.tell(h.sender.Ready("answers")) }

// Reloading tells that the gateway takes over a configuration; [Herald.Ready] ends it.
func (h Herald) Reloading() { h.tell(h.sender.Reloading()) }

// Stopping tells that the gateway takes nothing new.
func (h Herald) Stopping() { h.tell(h.sender.Stopping("answers what is under way")) }

// AwaitPredecessor tells that another process has the data directory.
func (h Herald) AwaitPredecessor() {
	h.log.Info("another process has the data directory: this one takes over when that one has ended")
	h.tell(h.sender.AwaitPredecessor())
}

// The patience that is asked for while a start reads a long spool.
const (
	extendEvery = 10 * time.Second
	extendBy    = 60 * time.Second
)

// WhileStarting calls work, and asks the manager for more time until it returns.
func (h Herald) WhileStarting(work func()) {
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

// tellEvery is how often the manager is told the state, unless its watchdog asks
// for more.
const tellEvery = time.Second

// A Subject is what is told of.
type Subject struct {
	Spool  func() spool.State
	Flows  func() bool // no stage stands still
	Health func() health.Snapshot
}

// Run feeds the watchdog as long as the spool can acknowledge and no stage stands
// still, and tells the state in words, until ctx ends.
func (h Herald) Run(ctx context.Context, of Subject) {
	if !h.sender.Heard() {
		return
	}
	every := tellEvery
	if w := h.sender.Watchdog(); w > 0 {
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
			return
		}
		if p.beats(of.Spool()) && of.Flows() && h.sender.Watchdog() > 0 {
			h.tell(h.sender.Alive())
		}
		if text := stateText(of.Health()); text != last {
			last = text
			h.tell(h.sender.Status(text))
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
