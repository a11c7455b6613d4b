package trouble_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sim"
	"github.com/penstock/penstock/internal/sim/trouble"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"radio:site-02": "radio:site-02@20s", "noise@5s": "noise@5s", "clock:pump-17@1m+30s": "clock:pump-17@1m0s+30s", "store": "store@20s", "gateway@0s+9s": "gateway@0s+9s",
	} {
		b, err := trouble.Parse(text)
		if err != nil || b.String() != want {
			t.Errorf("%s: %s %v", text, b.String(), err)
		}
	}
	for _, text := range []string{"", "cable", "store:x", "radio@x", "radio@-1s", "radio@1s+y"} {
		if _, err := trouble.Parse(text); penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("%q: %v", text, err)
		}
	}
}

var places = []trouble.Place{
	{Name: "a", Site: "works", Line: "line-1", Beats: true}, {Name: "b", Site: "hill", Radio: true, Beats: true}, {Name: "c", Site: "hill"},
}

func TestTargets(t *testing.T) {
	for text, want := range map[string]string{"radio": "hill", "noise": "line-1", "hang:b": "b", "network:works": "works"} {
		b, err := trouble.Parse(text)
		if err == nil {
			err = b.Settle(places, 3)
		}
		if err != nil || b.Target != want || b.Severity < 0 || b.Severity > 1 {
			t.Errorf("%s: %+v %v", text, b, err)
		}
	}
	for text, says := range map[string]string{"radio:works": "there are hill", "hang:c": "there are a, b", "noise:hill": "line-1"} {
		b, _ := trouble.Parse(text)
		if err := b.Settle(places, 3); penstock.CodeOf(err) != penstock.Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
	b, _ := trouble.Parse("radio")
	if err := b.Settle(places[:1], 1); err == nil || !strings.Contains(err.Error(), "too small") {
		t.Error(err)
	}
}

// wire takes everything, and remembers the source time of the last.
type wire struct {
	taken int
	at    int64
}

func (w *wire) Send(_ context.Context, m sim.Message) (sim.Answer, error) {
	if m.Damage != 0 {
		return sim.Answer{}, penstock.Errorf(penstock.Corrupt, "damaged")
	}
	w.taken++
	w.at = m.Report.Samples[0].SourceTime
	return sim.Answer{Result: penstock.Accepted}, nil
}

func (w *wire) Close() error { return nil }

// samples yields what a store has.
type samples []int64

func (samples) Controllers(context.Context) ([]string, error) { return nil, nil }

func (s samples) Samples(_ context.Context, _ string, from int64, yield func(sim.Stored) error) error {
	for _, at := range s {
		if at >= from {
			if err := yield(sim.Stored{Time: at}); err != nil {
				return err
			}
		}
	}
	return nil
}

func breaking(t *testing.T, texts ...string) (*trouble.Plant, *wire, func(controller int) error) {
	t.Helper()
	var breaks []trouble.Break
	for _, text := range texts {
		b, err := trouble.Parse(text)
		if err == nil {
			err = b.Settle(places, 8)
		}
		if err != nil {
			t.Fatal(err)
		}
		breaks = append(breaks, b)
	}
	p := trouble.NewPlant(places, breaks, 1, time.Now)
	w := &wire{}
	ways := p.Transport(w)
	return p, w, func(controller int) error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		r := &penstock.Report{Samples: []penstock.Sample{{SourceTime: time.Now().Truncate(time.Millisecond).UnixNano()}}}
		_, err := ways.Send(ctx, sim.Message{Controller: controller, Report: r})
		return err
	}
}

func TestAControllerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w, send := breaking(t, "hang:a@10s+10s")
		if err := send(0); err != nil || w.taken != 1 {
			t.Error(err)
		}
		time.Sleep(12 * time.Second)
		if err := send(0); !errors.Is(err, sim.ErrUnknown) || w.taken != 1 {
			t.Error(err)
		}
		if _, through := p.Beat(0); !through {
			t.Error("its link does not answer")
		}
		if err := send(1); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Second)
		if err := send(0); err != nil {
			t.Error(err)
		}
	})
}

func TestAClockThatSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w, send := breaking(t, "clock:c@10s")
		time.Sleep(15 * time.Second)
		if err := send(2); err != nil {
			t.Fatal(err)
		}
		right := time.Now().Truncate(time.Millisecond).UnixNano()
		if off := time.Duration(w.at - right).Abs(); off < 2*time.Second || off > 2*time.Hour {
			t.Errorf("it is off by %v", off)
		}
		found := 0
		err := p.Store(samples{w.at, right - 1e9}).Samples(t.Context(), "c", right-2e9, func(s sim.Stored) error {
			if s.Time == right || s.Time == right-1e9 {
				found++
			}
			return nil
		})
		if err != nil || found != 2 {
			t.Errorf("%v: %d times are right", err, found)
		}
	})
}

func TestARadioThatFades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w, send := breaking(t, "radio:hill@10s")
		signals, through := p.Beat(1)
		if !through || len(signals) != 2 {
			t.Fatal("no signal")
		}
		before := signals[0].Tenths
		time.Sleep(time.Minute)
		signals, _ = p.Beat(1)
		if drop := before - signals[0].Tenths; drop < 70 {
			t.Errorf("it fell by %d tenths of a dB", drop)
		}
		for range 200 {
			_ = send(1) // some come through
		}
		if w.taken == 200 {
			t.Error("nothing was lost")
		}
		p.Heal()
		if err := send(1); err != nil {
			t.Error(err)
		}
	})
}
