package sim_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sim"
)

// A memory is a transport into nothing: it answers in virtual time, refuses for
// a while, and remembers in which order reports came.
type memory struct {
	downUntil time.Time
	delay     time.Duration

	mu      sync.Mutex
	known   map[string]bool
	order   []uint64 // seqs of controller 0
	flying  map[int]int
	highest int // reports of one controller under way at once
}

func (m *memory) Send(ctx context.Context, msg sim.Message) (sim.Answer, error) {
	m.enter(msg)
	defer m.leave(msg)
	timer := time.NewTimer(m.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return sim.Answer{}, fmt.Errorf("%w: %w", sim.ErrUnknown, ctx.Err())
	}
	if time.Now().Before(m.downUntil) {
		return sim.Answer{}, penstock.RetryLater(penstock.Unavailable, time.Second, "down")
	}
	if msg.Damage != 0 {
		return sim.Answer{}, penstock.Errorf(penstock.Corrupt, "damaged")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := msg.Report.Controller + msg.Report.Identity.String()
	if m.known[key] {
		return sim.Answer{Result: penstock.Duplicate}, nil
	}
	m.known[key] = true
	if msg.Controller == 0 {
		m.order = append(m.order, msg.Report.Identity.Seq)
	}
	return sim.Answer{Result: penstock.Accepted}, nil
}

func (m *memory) enter(msg sim.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flying[msg.Controller]++
	m.highest = max(m.highest, m.flying[msg.Controller])
}

func (m *memory) leave(msg sim.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flying[msg.Controller]--
}

func (m *memory) Close() error { return nil }

// virtual runs a fleet for a time that costs nothing.
func virtual(t *testing.T, transport *memory, o sim.Options, length time.Duration) *sim.Fleet {
	t.Helper()
	transport.known = map[string]bool{}
	transport.flying = map[int]int{}
	o.Model = newModel(t, sim.ModelOptions{Seed: 5, Controllers: 10, Start: time.Now(), Interval: time.Second})
	o.Transport = transport
	f, err := sim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(length, f.Stop)
	defer stop.Stop()
	f.Run(t.Context())
	return f
}

func TestReportsComeOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{delay: time.Millisecond}
		f := virtual(t, m, sim.Options{}, 100*time.Second)
		if s := f.Stats(); s.Reports < 990 || s.Reports > 1010 || s.Accepted != s.Reports || s.Messages != s.Reports {
			t.Errorf("10 controllers sent %+v in 100 s at one report a second", s)
		}
		for i, seq := range m.order {
			if seq != uint64(i)+1 {
				t.Fatalf("report %d came as number %d without any mishap", seq, i+1)
			}
		}
		if got := f.Latency().Spread().Quantile(0.99); got < time.Millisecond || got > 1100*time.Microsecond {
			t.Errorf("the latency is %v, the gateway takes 1ms", got)
		}
	})
}

func TestEveryCopyIsADuplicate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := virtual(t, &memory{delay: time.Millisecond}, sim.Options{Impair: sim.Impairments{Duplicate: 0.5}}, 100*time.Second)
		s := f.Stats()
		if s.Copies < s.Reports*4/10 || s.Copies > s.Reports*6/10 || s.Duplicate != s.Copies || s.Messages != s.Reports+s.Copies {
			t.Errorf("half of all reports are sent twice: %+v", s)
		}
	})
}

func TestReorderedReportsComeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		f := virtual(t, m, sim.Options{Impair: sim.Impairments{Reorder: 0.3}}, 100*time.Second)
		late := 0
		for i := 1; i < len(m.order); i++ {
			late += count(m.order[i] < m.order[i-1])
		}
		if late < 10 || f.Stats().Accepted != f.Stats().Reports {
			t.Errorf("%d of %d reports came after a later one: %+v", late, len(m.order), f.Stats())
		}
	})
}

func TestNothingIsGivenUpWhileTheGatewayIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{downUntil: time.Now().Add(90 * time.Second), delay: time.Millisecond}
		f := virtual(t, m, sim.Options{InFlight: 3, Backoff: 10 * time.Millisecond}, 60*time.Second)
		s := f.Stats()
		if s.Reports == 0 || s.Accepted != s.Reports || s.Busy == 0 {
			t.Errorf("after 90 s without a gateway: %+v", s)
		}
		if m.highest > 3 {
			t.Errorf("a controller had %d reports under way, at most 3 were allowed", m.highest)
		}
		// The gateway asks for a second between tries; nobody may come sooner.
		if most := int64(10 * 3 * 90); s.Busy > most {
			t.Errorf("%d tries while the gateway was down, at most %d were due", s.Busy, most)
		}
	})
}

func TestSilentGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{delay: time.Hour, known: map[string]bool{}, flying: map[int]int{}}
		model := newModel(t, sim.ModelOptions{Controllers: 2, Start: time.Now(), Interval: time.Second})
		f, err := sim.New(sim.Options{Model: model, Transport: m, Timeout: 2 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		f.Run(ctx)
		s := f.Stats()
		if s.Accepted != 0 || s.Unknown < 100 {
			t.Errorf("nobody answered: %+v", s)
		}
		if got := f.Ledger(0).Of(1); got != sim.Sent {
			t.Errorf("the ledger says %b of a report without an answer", got)
		}
	})
}

func TestStopBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := virtual(t, &memory{}, sim.Options{}, 0)
		f.Stop()
		f.Stop()
		if s := f.Stats(); s.Reports > 1 {
			t.Errorf("a stopped fleet sent %d reports", s.Reports)
		}
	})
}
