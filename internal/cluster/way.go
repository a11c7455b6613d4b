package cluster

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sim"
	"github.com/penstock/penstock/internal/sim/simlink"
)

// Way is how the fleet reaches the gateways: over HTTPS by another one for each try,
// and, every second controller, over the link protocol by one that changes now and then
// and when it fails. A report counts as settled when it is committed, as it does for a
// controller that must not lose it with a gateway.
type Way struct {
	cluster *Cluster
	model   *sim.Model
	epoch   uint64
	moves   time.Duration // how often a controller of the link protocol changes its gateway
	tries   atomic.Uint64
	failed  []atomic.Uint64 // of each controller

	mu   sync.Mutex // guards what follows
	open []ways     // to each gateway
	old  []sim.Transport
}

// ways are the transports to one gateway with one disk.
type ways struct {
	birth       int
	https, link sim.Transport
}

var _ sim.Transport = (*Way)(nil)

// NewWay returns a way with no connection open yet.
func (c *Cluster) NewWay(model *sim.Model, epoch uint64, moves time.Duration) *Way {
	return &Way{
		cluster: c, model: model, epoch: epoch, moves: moves, failed: make([]atomic.Uint64, model.Controllers()), open: make([]ways, len(c.Nodes)),
	}
}

// overLink tells whether a controller speaks the link protocol.
func overLink(controller int) bool { return controller%2 == 1 }

// pick returns the gateway for a try.
func (w *Way) pick(controller int) int {
	turn := w.tries.Add(1)
	if overLink(controller) {
		turn = w.failed[controller].Load() + uint64(time.Now().UnixNano()/int64(w.moves))
	}
	h := fnv.New64a()
	fmt.Fprint(h, controller, " ", turn)
	return int(h.Sum64() % uint64(len(w.open)))
}

// errGone is why a gateway that has no disk does not answer.
var errGone = fmt.Errorf("%w: the gateway is gone", sim.ErrUnknown)

// to returns the transport to a gateway.
func (w *Way) to(node, controller int) (sim.Transport, int, error) {
	e, birth, ok := w.cluster.Nodes[node].Endpoint()
	if !ok {
		return nil, birth, errGone
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	o := &w.open[node]
	if o.https == nil || o.birth != birth {
		if o.https != nil {
			w.old = append(w.old, o.https, o.link)
		}
		https, err := sim.NewHTTPS(sim.HTTPSOptions{Endpoint: e, Connections: 16})
		if err != nil {
			return nil, birth, err
		}
		link, err := simlink.New(simlink.Options{
			Address: w.cluster.Nodes[node].Link, Name: w.model.Name, Epoch: w.epoch, Token: e.Token, Roots: e.Roots, Controllers: w.model.Controllers(),
		})
		if err != nil {
			return nil, birth, err
		}
		*o = ways{birth, https, link}
	}
	if overLink(controller) {
		return o.link, birth, nil
	}
	return o.https, birth, nil
}

// Send implements [sim.Transport].
func (w *Way) Send(ctx context.Context, m sim.Message) (sim.Answer, error) {
	node := w.pick(m.Controller)
	t, birth, err := w.to(node, m.Controller)
	if err != nil {
		w.failed[m.Controller].Add(1)
		return sim.Answer{}, err
	}
	a, err := t.Send(ctx, m)
	if errors.Is(err, sim.ErrUnknown) {
		w.failed[m.Controller].Add(1)
	}
	if penstock.CodeOf(err) == penstock.Unauthenticated {
		if _, now, ok := w.cluster.Nodes[node].Endpoint(); !ok || now != birth {
			return sim.Answer{}, errGone // another gateway stands there by now
		}
	}
	return onceCommitted(a, err, m)
}

// Close implements [sim.Transport].
func (w *Way) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for _, o := range w.open {
		if o.https != nil {
			errs = append(errs, o.https.Close(), o.link.Close())
		}
	}
	for _, t := range w.old {
		errs = append(errs, t.Close())
	}
	w.open, w.old = make([]ways, len(w.open)), nil
	return errors.Join(errs...)
}
