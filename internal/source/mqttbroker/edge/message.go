package edge

import (
	"context"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source/mqttbroker/fanout"
	"github.com/penstock/penstock/internal/source/mqttbroker/reason"
)

// The bounds of the pause before what was refused for now is submitted again.
const (
	shortestPause = 50 * time.Millisecond
	longestPause  = 5 * time.Second
)

// Message is a message of an edge node on its way.
type Message struct {
	desk    *Desk // that took it, then the one that decided
	from    *fanout.Client
	topic   string
	decided chan struct{} // closed when everything below is set

	err       error // why it cannot be used
	envelopes []penstock.Envelope
	ticket    penstock.Ticket // nil when there are no envelopes
}

// Outcome waits until the host has decided about the message and its reports are
// settled, and returns what became of all of them together. What was refused for
// now is submitted again, whatever the QoS: edge nodes publish at QoS 0, and the
// host has the message behind it. That ends when the time for it is over, or pause
// fails; then the outcome has a temporary error. An error says that nothing is
// known. It is called by one goroutine.
func (m *Message) Outcome(ctx context.Context, pause func(time.Duration) error) (penstock.Outcome, error) {
	select {
	case <-m.decided:
	case <-ctx.Done():
		return penstock.Outcome{}, ctx.Err()
	}
	if m.ticket == nil {
		return penstock.Outcome{Err: m.err}, nil
	}
	settled, err := m.ticket.Wait(ctx)
	if err != nil {
		return penstock.Outcome{}, err
	}
	outcomes := append([]penstock.Outcome(nil), settled...)
	for began := time.Now(); ; {
		places, after := again(outcomes)
		if len(places) == 0 || time.Since(began)+after > m.desk.Retry || pause(after) != nil {
			return together(outcomes), nil
		}
		if err := m.submit(ctx, outcomes, places); err != nil {
			return penstock.Outcome{}, err
		}
	}
}

// again returns which envelopes are to be submitted again, and when.
func again(outcomes []penstock.Outcome) (places []int, after time.Duration) {
	after = shortestPause
	for i := range outcomes {
		if err := outcomes[i].Err; reason.Again(err) {
			places = append(places, i)
			after = max(after, penstock.RetryAfterOf(err))
		}
	}
	return places, min(after, longestPause)
}

func (m *Message) submit(ctx context.Context, outcomes []penstock.Outcome, places []int) error {
	es := make([]penstock.Envelope, len(places))
	for i, place := range places {
		es[i] = m.envelopes[place]
		es[i].Principal = nil
	}
	fresh, err := m.desk.Next.Submit(ctx, es).Wait(ctx)
	if err != nil {
		return err
	}
	for i, place := range places {
		outcomes[place] = fresh[i]
	}
	return nil
}

// together returns the outcomes as one: an error that may pass counts most, since
// the message is not done with.
func together(outcomes []penstock.Outcome) (all penstock.Outcome) {
	for i := range outcomes {
		o := &outcomes[i]
		all.Verdicts = append(all.Verdicts, o.Verdicts...)
		if all.Err == nil || reason.Again(o.Err) {
			if o.Err != nil {
				all.Err = o.Err
			}
		}
	}
	return all
}
