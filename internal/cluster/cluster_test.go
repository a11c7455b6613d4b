package cluster_test

import (
	"context"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/cluster"
	"github.com/penstock/penstock/internal/sim"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// trial is a cluster with a fleet at work.
type trial struct {
	*cluster.Cluster
	*testing.T
	store *cluster.Store
	rand  *rand.Rand
	every time.Duration // between two blows
	kills int

	gate     *cluster.Gate // through the balancer; nil when the fleet picks the gateways
	next     string        // the program that gateways get which are stopped in good order
	restarts int           // of the gateways that are stopped in good order in a round
	calm     cluster.Calm
	stops    int

	mu     sync.Mutex // guards what follows
	marks  cluster.Watermarks
	failed bool // the database has lost transactions, which are not all there again
}

// kill ends a gateway that is not spared, and starts it again after a moment.
func (tr *trial) kill(spared ...*cluster.Node) {
	tr.Helper()
	for {
		n := tr.Nodes[tr.rand.IntN(len(tr.Nodes))]
		ok := true
		for _, s := range spared {
			ok = ok && s != n
		}
		if !ok {
			continue
		}
		n.Kill()
		tr.pause(time.Duration(tr.rand.Int64N(int64(tr.every / 4))))
		n.Start()
		tr.kills++
		return
	}
}

// pause lets the fleet work.
func (tr *trial) pause(d time.Duration) { <-time.After(d) }

// watch sees that no watermark in the store steps back, but when the database fails over.
func (tr *trial) watch(ctx context.Context) {
	for tick := time.NewTicker(100 * time.Millisecond); ctx.Err() == nil; {
		within, cancel := context.WithTimeout(ctx, time.Second)
		tr.mu.Lock()
		if now, err := tr.store.Watermarks(within); err == nil {
			if behind := now.Behind(tr.marks); behind == "" {
				tr.failed = false
				tr.marks = now
			} else if !tr.failed {
				tr.Errorf("a watermark has stepped back: %s", behind)
				tr.failed = true
			}
		}
		tr.mu.Unlock()
		cancel()
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// whole tells whether the store has again all that it ever had.
func (tr *trial) whole() bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return !tr.failed
}

// failOver lets the database lose the transactions of the last time. The gateways
// whose transactions they were feed it again.
func (tr *trial) failOver() {
	tr.Helper()
	restore := tr.Database.Save(tr)
	tr.pause(tr.every / 2)
	tr.kill()
	tr.pause(tr.every / 2)
	tr.mu.Lock()
	tr.failed = true
	restore()
	tr.mu.Unlock()
	for end := time.Now().Add(2 * time.Minute); !tr.whole(); tr.pause(50 * time.Millisecond) {
		if time.Now().After(end) {
			tr.Fatal("the database was not fed again what it lost")
		}
	}
}

// round lets everything happen once.
func (tr *trial) round() {
	tr.Helper()
	order := tr.rand.Perm(len(tr.Nodes))
	lost, old := tr.Nodes[order[0]], tr.Nodes[order[1]]
	if tr.gate != nil {
		tr.Front.Ready(tr.Nodes...)
		for _, i := range order[:tr.restarts] {
			tr.restart(tr.Nodes[i])
		}
	}
	old.Copy()
	tr.pause(tr.every)
	tr.kill()
	tr.pause(tr.every)
	tr.replace(lost)
	tr.pause(tr.every)
	if err := tr.Database.Down(); err != nil {
		tr.Fatal(err)
	}
	tr.pause(tr.every / 2)
	tr.kill()
	tr.pause(tr.every / 2)
	if err := tr.Database.Up(); err != nil {
		tr.Fatal(err)
	}
	tr.pause(tr.every)
	tr.kill(old)
	tr.pause(tr.every)
	old.Restore()
	tr.pause(tr.every)
	tr.failOver()
}

// replace loses a gateway with its disk, and has another one in its place.
func (tr *trial) replace(n *cluster.Node) {
	tr.Helper()
	if tr.gate != nil {
		tr.Front.Replace(n)
		return
	}
	n.Wipe()
}

// restart stops a gateway in good order and starts the next version of the program in
// its place: no request of the fleet may fail for it.
func (tr *trial) restart(n *cluster.Node) {
	tr.Helper()
	n.Program = tr.next
	calm, err := tr.gate.During(tr, func() {
		n.Restart()
		tr.Front.Ready(n)
	})
	if err != nil || calm.Failed != 0 || calm.Requests == 0 {
		tr.Errorf("a gateway was stopped in good order, and of %d requests %d failed: %v", calm.Requests, calm.Failed, err)
	}
	tr.stops++
	tr.calm.Requests += calm.Requests
	tr.calm.Sessions += calm.Sessions
	tr.calm.Failed += calm.Failed
}

// TestNothingIsLostOrDoubled has a fleet send to three gateways while they are killed, lost
// and set back, and the database with them: to another one for each try; and to an HAProxy,
// which has to find out by itself what happened to the gateways. Behind it gateways are
// besides stopped in good order, to be upgraded one after the other to a program that adds
// to the tables of the record: no request fails for that. The short form takes seconds;
// PENSTOCK_CLUSTER=5m says for how long each goes on.
func TestNothingIsLostOrDoubled(t *testing.T) {
	// A release that is there may begin, to be upgraded to the program of this source.
	today, previous := cluster.Build(t, ""), os.Getenv("PENSTOCK_PREVIOUS")
	program, next := previous, today
	if previous == "" {
		program, next = today, cluster.Build(t, adds)
	}
	t.Run("the fleet picks", func(t *testing.T) { run(t, cluster.Options{Program: today}, "") })
	t.Run("behind HAProxy", func(t *testing.T) { run(t, cluster.Options{Program: program, Balanced: true}, next) })
}

// adds is what the next version of the program makes of the tables while the one of today
// still writes.
const adds = `
ALTER TABLE {s}.samples ADD COLUMN region text;
ALTER TABLE {s}.nodes ADD COLUMN region text NOT NULL DEFAULT 'north';
ALTER TABLE {s}.settled ADD COLUMN region text NOT NULL DEFAULT 'north';
CREATE TABLE {s}.regions (name text PRIMARY KEY);`

// run runs a trial for as long as it is told to. Gateways that are stopped in good order
// get the next program.
func run(t *testing.T, o cluster.Options, next string) {
	const controllers, poll = 40, 250 * time.Millisecond
	tr := &trial{T: t, next: next, every: 400 * time.Millisecond, restarts: 1, marks: cluster.Watermarks{}}
	length, interval := time.Duration(0), 250*time.Millisecond
	if text := os.Getenv("PENSTOCK_CLUSTER"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
		tr.every, tr.restarts, interval = 5*time.Second, 2, 500*time.Millisecond
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	o.Nodes, o.Slaves, o.Every = 3, 4, poll
	c := cluster.New(t, o)
	defer func() {
		if t.Failed() {
			for _, n := range c.Nodes {
				t.Logf("%s:\n%s", n.HTTPS, n.Tail())
			}
		}
	}()
	epoch, began := uint64(time.Now().UnixMilli()), time.Now()
	model, err := sim.NewModel(sim.ModelOptions{Seed: seed, Controllers: controllers, Epoch: epoch, Start: began, Interval: interval, Speed: 60})
	if err != nil {
		t.Fatal(err)
	}
	tr.Cluster, tr.store, tr.rand = c, c.NewStore(t), rand.New(rand.NewPCG(seed, 1))
	way := tr.way(model, epoch)
	fleet, err := sim.New(sim.Options{Model: model, Transport: way, Seed: seed, InFlight: 64, Impair: sim.Impairments{Loss: 0.05, Duplicate: 0.05, Reorder: 0.05}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	settled := make(chan struct{})
	work.Go(func() { fleet.Run(ctx); close(settled) })
	work.Go(func() { tr.watch(ctx) })
	rounds := 0
	for rounds == 0 || time.Since(began) < length {
		tr.round()
		rounds++
	}
	fleet.Stop()
	select {
	case <-settled:
	case <-time.After(2 * time.Minute):
		t.Errorf("not everything was committed in time; the last trouble: %v", fleet.Trouble())
	}
	cancel()
	work.Wait()
	if err := way.Close(); err != nil {
		t.Log(err) // connections that the gateways had broken
	}
	tr.conclude(fleet, poll, rounds, time.Since(began))
}

// way returns the fleet's way to the gateways.
func (tr *trial) way(model *sim.Model, epoch uint64) sim.Transport {
	if tr.Front == nil {
		return tr.NewWay(model, epoch, 2*tr.every)
	}
	var err error
	if tr.gate, err = tr.Front.NewGate(model, epoch); err != nil {
		tr.Fatal(err)
	}
	return tr.gate
}

// takeOver waits until what gateways had leased that are no more is leased again by one
// that lives.
func (tr *trial) takeOver() {
	tr.Helper()
	now, err := tr.store.Now(tr.Context())
	if err != nil {
		tr.Fatal(err)
	}
	testkit.Eventually(tr, func() bool {
		all, err := tr.store.Taken(tr.Context(), now)
		return err == nil && all
	}, "every lease with a gateway that lives")
}

// conclude holds the store against what was sent.
func (tr *trial) conclude(fleet *sim.Fleet, poll time.Duration, rounds int, took time.Duration) {
	tr.Helper()
	tr.takeOver()
	fenced := 0
	for _, n := range tr.Nodes {
		n.Stop()
		fenced += n.Said("another copy of this node's data has delivered in its name")
	}
	balance, err := sim.Check(tr.Context(), fleet, tr.store, true)
	if err != nil {
		tr.Fatal(err)
	}
	if err := fleet.Err(); err != nil {
		tr.Error(err)
	}
	if !balance.Clean() || balance.Committed != balance.Sent || balance.Rejected != 0 || balance.Sent == 0 {
		tr.Errorf("the store does not have what was sent: %+v", balance)
	}
	doubles, err := tr.store.Doubles(tr.Context())
	if err != nil || doubles != 0 {
		tr.Errorf("%d samples are there twice, %v", doubles, err)
	}
	leased, err := tr.store.Polled(tr.Context(), "slave-leased", poll.Nanoseconds())
	if err != nil || leased.Slots == 0 || leased.Turns == 0 {
		tr.Errorf("polled through a lease: %+v, %v", leased, err)
	}
	if leased.Held != 0 {
		tr.Errorf("%d leases were not given up by gateways that stopped in good order", leased.Held)
	}
	shared, err := tr.store.Polled(tr.Context(), "slave-shared", poll.Nanoseconds())
	if err != nil || shared.Slots == 0 || shared.Conflicts == 0 {
		tr.Errorf("polled by all: %+v, %v", shared, err)
	}
	if fenced < rounds {
		tr.Errorf("an old copy of a disk was put back %d times, and noticed %d times", rounds, fenced)
	}
	stats := fleet.Stats()
	tr.Logf("in %v: %d rounds, %d gateways killed beside, %d reports sent and committed once, %d samples, %d messages, %d retries, %d answered as duplicates; lost %d, doubled %d",
		took.Round(time.Second), rounds, tr.kills, balance.Committed, balance.Samples, stats.Messages, stats.Retries, stats.Duplicate, balance.Lost, doubles+balance.Phantom)
	if tr.gate != nil {
		tr.checkUpgrade()
	}
	one, all := tr.Slaves.Reads()
	tr.Logf("polled through a lease: read %d times, %d slots stored, %d missing, %d read twice; it changed hands %d times", one, leased.Slots, leased.Missing, leased.Conflicts, leased.Turns)
	tr.Logf("polled by all gateways: read %d times, %d slots stored, %d missing, %d read twice", all, shared.Slots, shared.Missing, shared.Conflicts)
}

// checkUpgrade sees that gateways of two versions have shared the tables, and that the
// next one has added to them.
func (tr *trial) checkUpgrade() {
	tr.Helper()
	steps := tr.Database.Number(tr, "postgres", "SELECT count(*) FROM penstock.migrations")
	tr.Logf("%d gateways stopped in good order: of %d requests meanwhile %d failed, %d reports went out again in the next session of a link; the tables have had %d versions",
		tr.stops, tr.calm.Requests, tr.calm.Failed, tr.calm.Sessions, int(steps))
	if tr.stops == 0 || steps < 2 { // that of the first program, and of the next
		tr.Errorf("%d gateways were upgraded, and the tables have had %v versions", tr.stops, steps)
	}
}
