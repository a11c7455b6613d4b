package drain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/penstock/penstock/bench/process"
	"github.com/penstock/penstock/internal/sim"
	"github.com/penstock/penstock/internal/testkit/pgtest"
)

// Interval is how often a controller reports.
const Interval = 10 * time.Second

// Options say what is measured.
type Options struct {
	Gateway     string        // the program
	Directory   string        // for the data of both, on the disk to measure; the user that PostgreSQL runs as must be able to pass it
	Controllers int           // of the fleet
	Outage      time.Duration // whose reports come in while the database is down
	Length      time.Duration // of the time before, and of the time down once the backlog is in
}

// A Phase is a part of the outage as the live fleet and the machine saw it.
type Phase struct {
	Length   time.Duration
	Reports  int64         // of the live fleet, acknowledged
	P50, P99 time.Duration // of their acknowledgements
	Memory   int64         // the most that was resident of the gateway, bytes
	Gateway  time.Duration // of processor time
	Database time.Duration // of processor time; 0 while it is down
}

// A Result is what an outage came to. The database goes down after Before and is back
// before Draining.
type Result struct {
	Before   Phase
	Filling  Phase // the reports of the outage come in, as fast as they are taken
	Down     Phase // the live fleet alone goes on
	Draining Phase // until all that was accepted before is in the record
	Tenth    int64 // resident memory of the gateway when a tenth of the backlog was in, bytes
	Live     float64
	Resumed  time.Duration // from the database's first answer to the first report in it
	Backlog  Backlog
	Books    Books
}

// A Backlog is what waited for the record.
type Backlog struct {
	Reports int64
	Samples int64
	Bytes   int64 // in the spool
}

// PerSecond returns how many samples of the backlog were delivered a second, from the
// database's first answer on.
func (r *Result) PerSecond() float64 { return float64(r.Backlog.Samples) / r.Draining.Length.Seconds() }

// outage is the measurement under way.
type outage struct {
	Options
	Result
	database *pgtest.Server
	gateway  *process.Process
	reader   *sim.Reader
	live     *fleet
	past     *fleet // the same controllers in an earlier epoch, whose reports are the backlog
	gate     *gate
}

// Run measures one outage. The caller must not leave the thread that it runs on.
func Run(ctx context.Context, o Options) (r *Result, err error) {
	m := &outage{Options: o}
	if m.database, err = pgtest.Start(o.Directory, "shared_buffers = 512MB", "max_wal_size = 4GB", "autovacuum_naptime = 1min"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.database.Close()) }()
	if m.gateway, err = m.start(ctx); err != nil {
		return nil, err
	}
	defer m.gateway.Stop()
	m.reader = sim.NewReader(m.gateway.Endpoint)
	defer m.reader.Close()
	if err := m.connect(); err != nil {
		return nil, err
	}
	defer m.past.transport.Close() // idle connections
	defer m.live.transport.Close()
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { m.past.Run(ctx) })
	running.Go(func() { m.live.Run(ctx) })
	if err := m.measure(ctx); err != nil {
		return nil, err
	}
	m.live.Stop()
	running.Wait()
	return &m.Result, m.audit(ctx)
}

// start starts the gateway with the database as its record.
func (m *outage) start(ctx context.Context) (*process.Process, error) {
	config := filepath.Join(m.Directory, "drain.yaml")
	text := fmt.Sprintf("sinks: [{name: central, record: true, postgres: {server: \"postgres://127.0.0.1:%s/postgres\", user: postgres}}]\n", m.database.Port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return process.Gateway(ctx, m.Gateway, filepath.Join(m.Directory, "drain"), "--config", config)
}

// connect makes the fleets.
func (m *outage) connect() (err error) {
	now := time.Now()
	m.live, err = newFleet(m.gateway.Endpoint, sim.ModelOptions{Controllers: m.Controllers, Epoch: liveEpoch, Start: now}, nil)
	if err != nil {
		return err
	}
	m.Live = float64(m.live.samples(int64(m.Controllers))) / Interval.Seconds()
	m.gate = newGate()
	// Old enough that it never catches up with the present.
	m.past, err = newFleet(m.gateway.Endpoint, sim.ModelOptions{Controllers: m.Controllers, Epoch: pastEpoch, Start: now.Add(-2*m.Outage - time.Hour)}, m.gate)
	return err
}

// measure goes through the outage.
func (m *outage) measure(ctx context.Context) error {
	if err := m.known(ctx); err != nil {
		return err
	}
	length := func() error { return sleep(ctx, m.Length) }
	if err := m.during(&m.Before, length); err != nil {
		return fmt.Errorf("before: %w", err)
	}
	if err := m.database.Stop(); err != nil {
		return err
	}
	if err := m.during(&m.Filling, func() error { return m.fill(ctx) }); err != nil {
		return fmt.Errorf("the backlog comes in: %w", err)
	}
	if err := m.during(&m.Down, length); err != nil {
		return fmt.Errorf("while the database is down: %w", err)
	}
	if err := m.database.Up(); err != nil {
		return err
	}
	if err := m.during(&m.Draining, func() error { return m.drain(ctx) }); err != nil {
		return fmt.Errorf("the backlog is drained: %w", err)
	}
	return nil
}

// known waits until the gateway knows every controller in both epochs, and one interval
// more: while the record is down, it refuses those who are new to it.
func (m *outage) known(ctx context.Context) error {
	const patience = 3 * time.Minute
	end := time.Now().Add(patience)
	for i := range m.Controllers {
		for _, f := range [...]*fleet{m.past, m.live} {
			for f.Ledger(i).Of(1)&sim.Acknowledged == 0 {
				if time.Now().After(end) {
					return fmt.Errorf("controller %d had no acknowledgement after %v: %+v, last trouble: %v", i, patience, f.Stats(), f.Trouble())
				}
				if err := sleep(ctx, look); err != nil {
					return err
				}
			}
		}
	}
	return sleep(ctx, Interval)
}

// fill lets the reports of the past come in until there are as many as the live fleet
// sends in the time of the outage.
func (m *outage) fill(ctx context.Context) error {
	all := int64(m.Controllers) * int64(m.Outage/Interval)
	m.gate.open()
	for accepted := int64(0); accepted < all; accepted = m.past.Stats().Accepted {
		if m.Tenth == 0 && accepted >= all/10 {
			var err error
			if m.Tenth, _, err = m.gateway.Memory(); err != nil {
				return err
			}
		}
		if err := sleep(ctx, look); err != nil {
			return err
		}
	}
	m.past.Stop()
	return nil
}

// drain waits until all that waits for the record now is in it.
func (m *outage) drain(ctx context.Context) error {
	began := time.Now()
	now, err := m.sink(ctx)
	if err != nil {
		return err
	}
	started, last := now.Through, now.Through+now.Backlog.Reports
	m.Backlog = Backlog{Reports: int64(now.Backlog.Reports), Samples: m.live.samples(int64(now.Backlog.Reports)), Bytes: now.Backlog.Bytes}
	for now.Through < last {
		if err := sleep(ctx, look); err != nil {
			return err
		}
		if now, err = m.sink(ctx); err != nil {
			return err
		}
		if m.Resumed == 0 && now.Through > started {
			m.Resumed = time.Since(began)
		}
	}
	return nil
}

// standing is how far the record is.
type standing struct {
	Main    bool   `json:"system_of_record"`
	Through uint64 `json:"through"`
	Backlog struct {
		Reports uint64 `json:"reports"`
		Bytes   int64  `json:"bytes"`
	} `json:"backlog"`
}

func (m *outage) sink(ctx context.Context) (standing, error) {
	var list struct {
		Sinks []standing `json:"sinks"`
	}
	if err := m.reader.Get(ctx, "/v1/sinks", &list); err != nil {
		return standing{}, err
	}
	at := slices.IndexFunc(list.Sinks, func(s standing) bool { return s.Main })
	if at < 0 {
		return standing{}, errors.New("none of the gateway's sinks is the system of record")
	}
	return list.Sinks[at], nil
}
