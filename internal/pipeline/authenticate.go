package pipeline

import (
	"context"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/pipeline/budget"
)

// AuthenticateConfig are the settings of the step that finds out who sends.
type AuthenticateConfig struct {
	Failures int `yaml:"failures" jsonschema_description:"failed attempts a second that one address may make; beyond them it is told when to try again"`
}

func defaultAuthenticate() *AuthenticateConfig { return &AuthenticateConfig{Failures: 10} }

// Validate returns an error of code [penstock.Invalid] when a setting breaks a rule.
func (c *AuthenticateConfig) Validate() error {
	if c.Failures < 1 {
		return penstock.Errorf(penstock.Invalid, "failures: %d is not a number of attempts a second: at least 1", c.Failures)
	}
	return nil
}

// failureBurst is for how many seconds of its budget an address may fail at once.
const failureBurst = 10

// authenticate sets the envelope's principal. An address over its budget of
// failures is still let in with a good credential, because many controllers may
// stand behind one address and one of them with an old token must not lock out
// the others. The budget is not what keeps guessers out: a token has 256 bits.
type authenticate struct {
	fleet    *fleet.Fleet
	failures *budget.Book
	rates    budget.Rates
}

func newAuthenticate(c AuthenticateConfig, f *fleet.Fleet) *authenticate {
	return &authenticate{
		fleet: f, failures: budget.NewBook(maxPeers),
		rates: budget.Rates{Counts: float64(c.Failures), Bytes: 1, Burst: failureBurst},
	}
}

func (s *authenticate) onEnvelope(_ context.Context, w *passage) *refused {
	if p := w.envelope.Principal; p != nil && p.Role == penstock.RoleController && w.envelope.Credential.Token == "" {
		return nil // the source speaks for controllers of its own configuration: there is no credential to show
	}
	principal, err := s.fleet.Authenticate(w.envelope.Credential)
	if err == nil {
		w.envelope.Principal = principal
		return nil
	}
	w.envelope.Principal = nil
	b := s.failures.Of(budget.PeerKey(w.envelope.Peer), s.rates, w.now)
	if wait := b.Wait(w.now); wait > 0 {
		return &refused{penstock.ReasonLimited, penstock.RetryLater(penstock.Limited, wait,
			"authenticate: too many failed attempts from this address")}
	}
	b.ChargeCount(w.now, 1)
	return &refused{penstock.ReasonUnauthenticated, penstock.Errorf(penstock.CodeOf(err), "authenticate: %w", err)}
}
