package pipeline

import (
	"context"
	"strings"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/pipeline/budget"
)

// LimitConfig are the settings of the step that bounds what a credential may send.
type LimitConfig struct {
	Single Rates `yaml:"single" jsonschema_description:"of a credential that speaks for one controller"`
	Shared Rates `yaml:"shared" jsonschema_description:"of a credential that speaks for more than one"`
}

// Rates are limits of one sender.
type Rates struct {
	Reports int  `yaml:"reports" jsonschema_description:"reports a second"`
	Bytes   int  `yaml:"bytes" jsonschema_description:"bytes a second"`
	Burst   Span `yaml:"burst" jsonschema_description:"for how long the rates may be used at once after a pause, such as for a backlog"`
}

// The defaults leave room for the backlog of days after an outage: they are there
// for a controller that has gone mad. A shared credential may use the whole node.
func defaultLimit() *LimitConfig {
	return &LimitConfig{
		Single: Rates{Reports: 10_000, Bytes: 64 << 20, Burst: Span(10 * time.Second)},
		Shared: Rates{Reports: 5_000_000, Bytes: 1 << 30, Burst: Span(10 * time.Second)},
	}
}

// Validate returns an error of code [penstock.Invalid] when a setting breaks a rule.
func (c *LimitConfig) Validate() error {
	for _, part := range []struct {
		name  string
		rates Rates
	}{{"single", c.Single}, {"shared", c.Shared}} {
		if err := part.rates.check("reports"); err != nil {
			return penstock.Errorf(penstock.Invalid, "%s.%w", part.name, err)
		}
	}
	return nil
}

const (
	minBytesRate = 1 << 10 // a second
	maxBurst     = Span(time.Hour)
)

func (r Rates) check(counted string) error {
	switch {
	case r.Reports < 1:
		return penstock.Errorf(penstock.Invalid, "%s: %d is not a number a second: at least 1", counted, r.Reports)
	case r.Bytes < minBytesRate:
		return penstock.Errorf(penstock.Invalid, "bytes: %d a second is less than any use needs: at least %d", r.Bytes, minBytesRate)
	case r.Burst < Span(time.Second) || r.Burst > maxBurst:
		return penstock.Errorf(penstock.Invalid, "burst: %v is not between 1s and %v", r.Burst, maxBurst)
	}
	return nil
}

func (r Rates) compile() budget.Rates {
	return budget.Rates{Counts: float64(r.Reports), Bytes: float64(r.Bytes), Burst: time.Duration(r.Burst).Seconds()}
}

// maxCredentials is how many credentials have a budget of their own.
const maxCredentials = 1 << 17

// limit bounds reports and bytes of each credential. How many reports an envelope
// holds is known after decoding only, so they are charged at the end.
type limit struct {
	single, shared budget.Rates
	budgets        *budget.Book
}

func newLimit(c LimitConfig) *limit {
	return &limit{single: c.Single.compile(), shared: c.Shared.compile(), budgets: budget.NewBook(maxCredentials)}
}

func (s *limit) onEnvelope(_ context.Context, w *passage) *refused {
	principal := w.envelope.Principal
	r := s.shared
	if len(principal.Scope) == 1 && !strings.Contains(principal.Scope[0], "*") {
		r = s.single
	}
	b := s.budgets.Of(principal.Credential, r, w.now)
	if wait := b.Wait(w.now); wait > 0 {
		return &refused{penstock.ReasonLimited, penstock.RetryLater(penstock.Limited, wait,
			"limit: credential "+principal.Credential+" sends more than it may")}
	}
	b.ChargeBytes(w.now, len(w.envelope.Body))
	w.budget = b
	return nil
}

func (s *limit) atEnd(_ context.Context, w *passage) {
	if w.budget != nil {
		w.budget.ChargeCount(w.now, max(1, len(w.items)))
	}
}
