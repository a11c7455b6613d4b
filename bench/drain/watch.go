package drain

import (
	"context"
	"errors"
	"sync"
	"time"
)

// look is how often something is looked at.
const look = 50 * time.Millisecond

// during measures a phase, which lasts as long as do.
func (m *outage) during(p *Phase, do func() error) error {
	reports, spread, began := m.live.Stats().Accepted, m.live.Latency().Spread(), time.Now()
	gateway, database, err := m.used()
	if err != nil {
		return err
	}
	watched := watch(m.gateway.Memory, &p.Memory)
	if err := errors.Join(do(), watched()); err != nil {
		return err
	}
	p.Length = time.Since(began)
	p.Reports = m.live.Stats().Accepted - reports
	since := m.live.Latency().Spread().Since(spread)
	p.P50, p.P99 = since.Quantile(0.5), since.Quantile(0.99)
	afterwards, served, err := m.used()
	p.Gateway, p.Database = afterwards-gateway, served-database
	return err
}

// used returns the processor time of the gateway and of the database.
func (m *outage) used() (gateway, database time.Duration, err error) {
	gateway, err = m.gateway.CPU()
	if err != nil {
		return 0, 0, err
	}
	database, err = m.database.CPU()
	return gateway, database, err
}

// watch notes the most of what measure returns, until it is told to end; ended returns
// its error.
func watch(measure func() (now, peak int64, err error), most *int64) (ended func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	var watcher sync.WaitGroup
	var failed error
	watcher.Go(func() {
		for {
			now, _, err := measure()
			if err != nil {
				failed = err
				return
			}
			*most = max(*most, now)
			if sleep(ctx, look) != nil {
				return
			}
		}
	})
	return func() error {
		cancel()
		watcher.Wait()
		return failed
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
