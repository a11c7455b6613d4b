package source_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source"
)

// registry is a record that has leases.
type registry struct {
	mu      sync.Mutex
	leases  map[string]tenancy
	down    map[string]bool // nodes that do not reach it
	without bool            // it has no leases
}

type tenancy struct {
	holder string
	until  time.Time
}

// desk is the registry as one node reaches it.
type desk struct {
	*registry
	node string
}

func (d desk) Lease(_ context.Context, name string, ttl time.Duration) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch now := d.leases[name]; {
	case d.without:
		return false, penstock.Errorf(penstock.Unsupported, "no leases")
	case d.down[d.node]:
		return false, penstock.Errorf(penstock.Unavailable, "down")
	case now.holder != d.node && time.Now().Before(now.until):
		return false, nil
	}
	d.leases[name] = tenancy{d.node, time.Now().Add(ttl)}
	return true, nil
}

func (d desk) Release(_ context.Context, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down[d.node] {
		return penstock.Errorf(penstock.Unavailable, "down")
	}
	if d.leases[name].holder == d.node {
		delete(d.leases, name)
	}
	return nil
}

func (r *registry) cut(down bool, nodes ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range nodes {
		r.down[n] = down
	}
}

// cluster is nodes that have the same source.
type cluster struct {
	t        *testing.T
	registry *registry
	lease    source.Lease
	ends     map[string]func()

	mu      sync.Mutex
	reading map[string]bool
}

func newCluster(t *testing.T, alone bool) *cluster {
	return &cluster{
		t: t, registry: &registry{leases: map[string]tenancy{}, down: map[string]bool{}}, lease: source.Lease{Name: "l", Alone: alone},
		ends: map[string]func(){}, reading: map[string]bool{},
	}
}

// reader is the source at work on one node.
type reader struct {
	*cluster
	node string
}

func (r reader) Run(ctx context.Context, _ penstock.Handler) error {
	r.note(true)
	defer r.note(false)
	<-ctx.Done()
	return nil
}

func (r reader) note(reads bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reading[r.node] = reads
}

func (c *cluster) start(node string) {
	s := source.NewSet(source.Options{
		Env:    source.Env{Log: slog.New(slog.DiscardHandler), Now: time.Now},
		Status: func(string) (source.Status, func()) { return status{&journal{}, node}, func() {} },
		Leases: desk{c.registry, node},
	})
	s.Apply([]source.Spec{{Name: "poll", Lease: &c.lease, New: func(source.Env) (penstock.Source, error) { return reader{c, node}, nil }}})
	ctx, cancel := context.WithCancel(c.t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		if err := s.Run(ctx); err != nil {
			c.t.Error(err)
		}
	})
	c.ends[node] = func() { cancel(); work.Wait(); delete(c.ends, node) }
}

// readers returns the nodes that read.
func (c *cluster) readers() (now []string) {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for n, reads := range c.reading {
		if reads {
			now = append(now, n)
		}
	}
	slices.Sort(now)
	return now
}

// settles waits until something holds of who reads.
func (c *cluster) settles(d time.Duration, holds func(now []string) bool) []string {
	c.t.Helper()
	for end := time.Now().Add(d); ; time.Sleep(10 * time.Millisecond) { // in a bubble: virtual time
		now := c.readers()
		if holds(now) {
			return now
		}
		if time.Now().After(end) {
			c.t.Fatalf("after %v %v read", d, now)
		}
	}
}

// within sees that who reads becomes this within a time.
func (c *cluster) within(d time.Duration, nodes ...string) {
	c.t.Helper()
	c.settles(d, func(now []string) bool { return slices.Equal(now, nodes) })
}

// oneIn waits until one reads, whose lease was renewed since.
func (c *cluster) oneIn(d time.Duration) []string {
	c.t.Helper()
	time.Sleep(d) // in a bubble: virtual time; whoever was too late has heard of it
	return c.settles(0, func(now []string) bool { return len(now) == 1 })
}

// still sees that who reads stays so for a time.
func (c *cluster) still(d time.Duration, nodes ...string) {
	c.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) { // in a bubble: virtual time
		c.within(0, nodes...)
	}
}

func (c *cluster) stop() {
	for _, end := range c.ends {
		end()
	}
}

const lasts = 10 * time.Second

// TestOneNodeReads has nodes stop, lose their way to the record, and find it again.
func TestOneNodeReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, true)
		defer c.stop()
		c.start("a")
		c.within(time.Second, "a")
		c.start("b")
		c.still(time.Minute, "a")
		c.ends["a"]() // in good order: the lease is given up
		c.within(lasts/2, "b")
		c.start("a")
		c.still(time.Minute, "b")
		c.registry.cut(true, "b") // it cannot know whether somebody else took over, and reads on
		c.within(lasts*3/2, "a", "b")
		c.still(time.Minute, "a", "b")
		c.registry.cut(false, "b")
		c.within(lasts/2, "a")
		c.still(time.Minute, "a")
	})
}

// TestTheRecordIsDown has the one that reads go on, and another read only after long,
// where two may.
func TestTheRecordIsDown(t *testing.T) {
	for _, alone := range []bool{true, false} {
		t.Run(fmt.Sprint("alone ", alone), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, alone)
				defer c.stop()
				c.start("a")
				c.within(time.Second, "a")
				c.start("b")
				c.still(lasts, "a")
				c.registry.cut(true, "a", "b", "c")
				c.still(2*lasts, "a")
				c.start("c")
				if !alone {
					c.still(time.Hour, "a")
					c.registry.cut(false, "a", "b", "c")
					c.still(time.Minute, c.oneIn(lasts)...)
					return
				}
				c.within(2*lasts, "a", "b")
				c.within(3*lasts, "a", "b", "c")
				c.still(time.Hour, "a", "b", "c")
				c.registry.cut(false, "a", "b", "c")
				c.still(time.Minute, c.oneIn(lasts)...)
			})
		})
	}
}

// TestNoLeases has a record that knows none: every node reads.
func TestNoLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, false)
		defer c.stop()
		c.registry.without = true
		c.start("a")
		c.start("b")
		c.within(time.Second, "a", "b")
		c.still(time.Minute, "a", "b")
	})
}
