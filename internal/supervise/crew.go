package supervise

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/supervise/lifecycle"
)

// crew is the instances that run. Others join them, and some leave.
type crew struct {
	stop context.CancelFunc // ends all
	work sync.WaitGroup
	join func(i *instance, first lifecycle.Kind) bool // false once all are to end; m.mu is held
}

// man runs the instances, and those that join them, until ctx ends.
func (m *Manager) man(ctx context.Context, stop context.CancelFunc) *crew {
	c := &crew{stop: stop}
	over := false // m.mu guards it
	c.join = func(i *instance, first lifecycle.Kind) bool {
		if over {
			return false
		}
		var own context.Context
		own, i.leave = context.WithCancel(ctx)
		c.work.Go(func() { i.run(own, first) })
		return true
	}
	// Nobody joins once the wait for all may have ended.
	c.work.Go(func() {
		<-ctx.Done()
		m.mu.Lock()
		defer m.mu.Unlock()
		over = true
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, i := range m.instances {
		c.join(i, lifecycle.Start)
	}
	m.running = c
	return c
}

// hire adds instances, which start at once.
func (m *Manager) hire(list []*instance) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, i := range list {
		if m.running == nil || !m.running.join(i, lifecycle.Replace) {
			return penstock.Errorf(penstock.Closed, "%s: the manager ends", i)
		}
		m.instances = append(m.instances, i)
	}
	slices.SortFunc(m.instances, func(a, b *instance) int { return cmp.Or(cmp.Compare(a.name, b.name), a.number-b.number) })
	return nil
}

// dismiss stops instances, waits for their end and forgets them.
func (m *Manager) dismiss(list []*instance) {
	for _, i := range list {
		i.leave()
	}
	for _, i := range list {
		<-i.done
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.instances = slices.DeleteFunc(m.instances, func(i *instance) bool { return slices.Contains(list, i) })
}
