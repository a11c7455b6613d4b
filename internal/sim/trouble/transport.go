package trouble

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/pause"
	"github.com/penstock/penstock/internal/sim"
	"github.com/penstock/penstock/link"
)

// Plant is the simulated plant with its troubles. It is safe for concurrent use.
type Plant struct {
	Places []Place
	Breaks []Break // settled
	now    func() time.Time
	begun  time.Time

	healed atomic.Bool
	mu     sync.Mutex // guards random
	random *rand.Rand
}

// NewPlant returns a plant whose troubles count from now.
func NewPlant(places []Place, breaks []Break, seed uint64, now func() time.Time) *Plant {
	return &Plant{Places: places, Breaks: breaks, now: now, begun: now(), random: rand.New(rand.NewPCG(seed, 17))}
}

// Begin has the troubles count from now. It is called before anything else.
func (p *Plant) Begin() { p.begun = p.now() }

// Heal ends all troubles.
func (p *Plant) Heal() { p.healed.Store(true) }

func (p *Plant) chance() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.random.Float64()
}

// On tells whether a break is there now.
func (p *Plant) On(b *Break) bool {
	at := p.now().Sub(p.begun)
	return !p.healed.Load() && at >= b.Start && (b.For == 0 || at < b.Start+b.For)
}

// Began tells whether the time of a break has come.
func (p *Plant) Began(b *Break) bool { return p.now().Sub(p.begun) >= b.Start }

// of returns the break of a kind that has the controller now, nil for none.
func (p *Plant) of(kind Kind, controller int) *Break {
	for i := range p.Breaks {
		if b := &p.Breaks[i]; b.Kind == kind && b.Takes(&p.Places[controller]) && p.On(b) {
			return b
		}
	}
	return nil
}

// Noise returns the share of blocks on a line that are damaged now.
func (p *Plant) Noise(line string) float64 {
	for i := range p.Breaks {
		if b := &p.Breaks[i]; b.Kind == Noise && b.Target == line && p.On(b) {
			return 0.06 + 0.4*b.Severity
		}
	}
	return 0
}

// What a radio has on a good day, by the number of its controller.
func usualSignal(controller int) (rssi, snr float64) {
	return -62 - float64(controller*7%21), 19 + float64(controller*5%7)
}

// signal returns what a radio has now.
func (p *Plant) signal(controller int) (rssi, snr float64) {
	rssi, snr = usualSignal(controller)
	fade := (p.chance() - 0.5) * 3
	if b := p.of(Radio, controller); b != nil {
		fade += (9 + 22*b.Severity) * b.share(p.now().Sub(p.begun))
	}
	return rssi - fade, snr - fade
}

// Beat returns what the modem of a controller tells, and whether that comes through.
// It is what [simlink.Options] want.
func (p *Plant) Beat(controller int) ([]link.Signal, bool) {
	if !p.Places[controller].Radio {
		return nil, p.of(Network, controller) == nil
	}
	rssi, snr := p.signal(controller)
	signals := []link.Signal{{Kind: link.SignalRSSI, Tenths: int64(rssi * 10)}, {Kind: link.SignalSNR, Tenths: int64(snr * 10)}}
	through := p.chance() >= errors(snr)
	if b := p.of(Network, controller); b != nil {
		through = through && b.Way != 0 && p.chance() > b.loss()
	}
	return signals, through
}

// errors returns the share of frames that a radio with that ratio loses.
func errors(snr float64) float64 { return 1 / (1 + math.Exp(snr-5)) }

// share is how much of a trouble that comes slowly is there.
func (b *Break) share(at time.Duration) float64 {
	ramp := 10 * time.Second
	if b.Way == 0 {
		ramp = 3 * time.Second
	}
	return min(1, float64(at-b.Start)/float64(ramp))
}

func (b *Break) loss() float64 { return 0.5 + 0.4*b.Severity }

func (b *Break) delay() time.Duration {
	return time.Duration((1.5 + 2.5*b.Severity) * float64(time.Second))
}

// Transport has what the plant's troubles do to messages happen to those of another
// transport.
func (p *Plant) Transport(inner sim.Transport) sim.Transport { return &transport{inner, p} }

type transport struct {
	sim.Transport
	plant *Plant
}

// Send implements [sim.Transport].
func (t *transport) Send(ctx context.Context, m sim.Message) (sim.Answer, error) {
	p := t.plant
	if p.of(Hang, m.Controller) != nil {
		return sim.Answer{}, silence(ctx)
	}
	if b := p.of(Network, m.Controller); b != nil {
		if err := p.troubled(ctx, b); err != nil {
			return sim.Answer{}, err
		}
	}
	radio := p.Places[m.Controller].Radio
	if radio {
		var err error
		if m.Damage, err = p.onAir(ctx, m.Controller); err != nil {
			return sim.Answer{}, err
		}
	}
	m.Report = p.clocked(m.Controller, m.Report)
	a, err := t.Transport.Send(ctx, m)
	switch {
	case m.Damage != 0 && err == nil:
		return a, penstock.Errorf(penstock.Corrupt, "a damaged message was taken for good")
	case err != nil && (m.Damage != 0 || radio && !penstock.CodeOf(err).Temporary()):
		// This message was damaged, or another one, which ended the connection of both.
		return sim.Answer{}, fmt.Errorf("%w: a message was damaged on the way: %w", sim.ErrUnknown, err)
	}
	return a, err
}

// troubled lets a message through a network in trouble, or not.
func (p *Plant) troubled(ctx context.Context, b *Break) error {
	switch b.Way {
	case 0:
		return silence(ctx)
	case 1:
		if p.chance() < b.loss() {
			return lost(ctx)
		}
		return nil
	}
	return wait(ctx, b.delay())
}

// onAir returns how a message is damaged on a radio, 0 for not at all, or an error
// for one that was lost.
func (p *Plant) onAir(ctx context.Context, controller int) (damage uint64, err error) {
	_, snr := p.signal(controller)
	switch {
	case p.chance() >= errors(snr):
		return 0, nil
	case p.chance() < 0.7:
		return 0, lost(ctx)
	}
	return uint64(p.chance()*(1<<60)) | 1, nil
}

// silence waits until the sender gives up.
func silence(ctx context.Context) error {
	<-ctx.Done()
	return fmt.Errorf("%w: %w", sim.ErrUnknown, ctx.Err())
}

// lost waits as a sender does before it sends once more.
func lost(ctx context.Context) error {
	if err := wait(ctx, time.Second); err != nil {
		return err
	}
	return fmt.Errorf("%w: it was lost on the way", sim.ErrUnknown)
}

// wait pauses a request, which has no answer when it ends meanwhile.
func wait(ctx context.Context, d time.Duration) error {
	if err := pause.For(ctx, d); err != nil {
		return fmt.Errorf("%w: %w", sim.ErrUnknown, err)
	}
	return nil
}
