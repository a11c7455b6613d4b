package sourcetest

import (
	"context"
	"fmt"
	"sync"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/link"
)

// Decode returns the reports in an envelope.
type Decode func(e *penstock.Envelope) ([]penstock.Report, error)

// Desk stands in for the pipeline and everything behind it. What is submitted
// stays undecided while the desk is closed, and is answered by its policy when
// it opens.
type Desk struct {
	decode Decode

	mu        sync.Mutex
	shut      chan struct{} // not nil while the desk is closed
	outage    error
	refused   penstock.Reason
	envelopes int
	accepted  map[string]penstock.Report
	order     []penstock.Report
	refusals  []error
}

// NewDesk returns an open desk that accepts everything once.
func NewDesk(decode Decode) *Desk {
	if decode == nil {
		decode = Standard
	}
	return &Desk{decode: decode, accepted: map[string]penstock.Report{}}
}

// Standard decodes reports in binary and in JSON.
func Standard(e *penstock.Envelope) ([]penstock.Report, error) {
	switch e.ContentType {
	case link.MediaType:
		return binaryReports(e.Body)
	case "application/json":
		var d reportjson.Decoder
		return d.Decode(e.Body, nil)
	}
	return nil, penstock.Errorf(penstock.Unsupported, "the desk cannot read %q", e.ContentType)
}

// binaryReports decodes one report after another.
func binaryReports(body []byte) (reports []penstock.Report, err error) {
	var d link.Decoder
	for len(body) > 0 {
		var r penstock.Report
		if body, err = d.Decode(body, &r); err != nil {
			return nil, err
		}
		reports = append(reports, r)
	}
	return reports, nil
}

// Close leaves what comes from now on undecided until Open.
func (d *Desk) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut == nil {
		d.shut = make(chan struct{})
	}
}

// Open decides what waits.
func (d *Desk) Open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut != nil {
		close(d.shut)
		d.shut = nil
	}
}

// Fail has every envelope end in err from now on; nil ends that.
func (d *Desk) Fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.outage = err
}

// Refuse has every report rejected from now on; an empty reason ends that.
func (d *Desk) Refuse(reason penstock.Reason) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused = reason
}

// Accepted returns the reports that were accepted, each once, in their order.
func (d *Desk) Accepted() []penstock.Report {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]penstock.Report(nil), d.order...)
}

// Refusals returns what the source itself refused, in order.
func (d *Desk) Refusals() []error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]error(nil), d.refusals...)
}

// Envelopes returns how many envelopes came.
func (d *Desk) Envelopes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.envelopes
}

// Submit implements [penstock.Handler].
func (d *Desk) Submit(_ context.Context, es []penstock.Envelope) penstock.Ticket {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.envelopes += len(es)
	t := &ticket{shut: d.shut, decide: func() []penstock.Outcome { return d.decide(es) }}
	if d.shut == nil {
		t.once.Do(func() { t.outcomes = d.decideLocked(es) })
	}
	return t
}

func (d *Desk) decide(es []penstock.Envelope) []penstock.Outcome {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.decideLocked(es)
}

func (d *Desk) decideLocked(es []penstock.Envelope) []penstock.Outcome {
	outcomes := make([]penstock.Outcome, len(es))
	for i := range es {
		outcomes[i] = d.judge(&es[i])
	}
	return outcomes
}

func (d *Desk) judge(e *penstock.Envelope) penstock.Outcome {
	if d.outage != nil {
		return penstock.Outcome{Err: d.outage}
	}
	if e.Refusal != nil {
		d.refusals = append(d.refusals, e.Refusal)
		return penstock.Outcome{Err: e.Refusal}
	}
	reports, err := d.decode(e)
	if err != nil {
		return penstock.Outcome{Err: err}
	}
	var o penstock.Outcome
	for _, r := range reports {
		v := penstock.Verdict{Controller: r.Controller, Identity: r.Identity, Result: penstock.Accepted}
		key := fmt.Sprint(r.Controller, " ", r.Identity)
		if r.Identity.Form == penstock.Natural {
			key = fmt.Sprint(r.Controller, r.Samples)
		}
		_, known := d.accepted[key]
		switch {
		case d.refused != "":
			v.Result, v.Reason, v.Detail = penstock.Rejected, d.refused, "the desk refuses"
		case known:
			v.Result = penstock.Duplicate
		default:
			d.accepted[key] = r
			d.order = append(d.order, r)
		}
		o.Verdicts = append(o.Verdicts, v)
	}
	return o
}

// ticket is undecided until the desk opens.
type ticket struct {
	shut     chan struct{}
	decide   func() []penstock.Outcome
	once     sync.Once
	outcomes []penstock.Outcome
}

// Wait implements [penstock.Ticket].
func (t *ticket) Wait(ctx context.Context) ([]penstock.Outcome, error) {
	if t.shut != nil {
		select {
		case <-t.shut:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	t.once.Do(func() { t.outcomes = t.decide() })
	return t.outcomes, nil
}
