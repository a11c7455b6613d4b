package pipeline

import (
	"context"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/pipeline/budget"
)

// LimitPeerConfig are the settings of the step that bounds what one address may
// send, whoever it is. It suits networks where each controller has an address of
// its own, and not those where many stand behind one.
type LimitPeerConfig struct {
	Envelopes int  `yaml:"envelopes" jsonschema_description:"requests or messages a second"`
	Bytes     int  `yaml:"bytes" jsonschema_description:"bytes a second"`
	Burst     Span `yaml:"burst" jsonschema_description:"for how long the rates may be used at once after a pause"`
}

func defaultLimitPeer() *LimitPeerConfig {
	return &LimitPeerConfig{Envelopes: 1_000, Bytes: 64 << 20, Burst: Span(10 * time.Second)}
}

func (c *LimitPeerConfig) rates() Rates {
	return Rates{Reports: c.Envelopes, Bytes: c.Bytes, Burst: c.Burst}
}

// Validate returns an error of code [penstock.Invalid] when a setting breaks a rule.
func (c *LimitPeerConfig) Validate() error { return c.rates().check("envelopes") }

// maxPeers is how many addresses have a budget of their own.
const maxPeers = 1 << 16

type limitPeer struct {
	rates   budget.Rates
	budgets *budget.Book
}

func newLimitPeer(c LimitPeerConfig) *limitPeer {
	return &limitPeer{rates: c.rates().compile(), budgets: budget.NewBook(maxPeers)}
}

func (s *limitPeer) onEnvelope(_ context.Context, w *passage) *refused {
	b := s.budgets.Of(budget.PeerKey(w.envelope.Peer), s.rates, w.now)
	if wait := b.Wait(w.now); wait > 0 {
		return &refused{penstock.ReasonLimited, penstock.RetryLater(penstock.Limited, wait,
			"limit_peer: this address sends more than it may")}
	}
	b.ChargeCount(w.now, 1)
	b.ChargeBytes(w.now, len(w.envelope.Body))
	return nil
}
