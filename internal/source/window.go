package source

import (
	"context"
	"time"

	"github.com/penstock/penstock"
)

// The pauses between attempts while the node takes nothing.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
)

// most is how many deliveries are settled before a flush.
const most = 64

// Settler acknowledges deliveries to the origin they came from.
type Settler[D any] interface {
	// Settle is called once a delivery, in the order in which they were taken,
	// with an outcome an envelope. No outcome is an error of a temporary code.
	Settle(d D, outcomes []penstock.Outcome) error
	// Flush sends the acknowledgements that Settle has held back.
	Flush() error
}

// Window holds the deliveries that a source has taken from a broker and not yet
// acknowledged. It is bounded, keeps their order, and submits again what the node
// had no room for: the broker keeps the delivery all the while. Giving it back
// instead would cost a connection, and count as a failed attempt against the
// limit that quorum queues have.
type Window[D any] struct {
	next   penstock.Handler
	status Status
	slots  chan *Slot[D]
	held   int // settled and not flushed
}

// NewWindow returns a window for at most limit deliveries. The status is told
// when the node takes nothing, and when it does again.
func NewWindow[D any](next penstock.Handler, status Status, limit int) *Window[D] {
	return &Window[D]{next: next, status: status, slots: make(chan *Slot[D], limit)}
}

// Slot is the place of one delivery.
type Slot[D any] struct {
	delivery  D
	next      penstock.Handler
	submitted chan struct{}
	envelopes []penstock.Envelope
	ticket    penstock.Ticket // nil when there is no envelope
}

// Take gives the delivery the next place. It waits while the window is full, and
// returns the error of ctx when that ends.
func (w *Window[D]) Take(ctx context.Context, d D) (*Slot[D], error) {
	s := &Slot[D]{delivery: d, next: w.next, submitted: make(chan struct{})}
	select {
	case w.slots <- s:
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Submit hands in what the delivery holds; without envelopes it is settled in
// its turn with no outcome. It is called once, and returns at once.
func (s *Slot[D]) Submit(ctx context.Context, es []penstock.Envelope) {
	if len(es) > 0 {
		s.envelopes, s.ticket = es, s.next.Submit(ctx, es)
	}
	close(s.submitted)
}

// Run settles the deliveries until ctx ends or the settler fails, and returns
// why. It is called once.
func (w *Window[D]) Run(ctx context.Context, to Settler[D]) error {
	for {
		if len(w.slots) == 0 {
			if err := w.flush(to); err != nil {
				return err
			}
		}
		select {
		case s := <-w.slots:
			if err := w.settle(ctx, s, to); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *Window[D]) settle(ctx context.Context, s *Slot[D], to Settler[D]) error {
	select {
	case <-s.submitted:
	default:
		if err := w.flush(to); err != nil {
			return err
		}
		select {
		case <-s.submitted:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	outcomes, err := w.decide(ctx, s, to)
	if err != nil {
		return err
	}
	if err := to.Settle(s.delivery, outcomes); err != nil {
		return err
	}
	if w.held++; w.held >= most {
		return w.flush(to)
	}
	return nil
}

func (w *Window[D]) flush(to Settler[D]) error {
	if w.held == 0 {
		return nil
	}
	w.held = 0
	return to.Flush()
}

// decide waits for the outcomes of a delivery, and submits again what failed for
// now: at once the first time, since what was wrong may be over when a delivery's
// turn has come, then after longer and longer pauses.
func (w *Window[D]) decide(ctx context.Context, s *Slot[D], to Settler[D]) ([]penstock.Outcome, error) {
	if s.ticket == nil {
		return nil, nil
	}
	outcomes, err := s.ticket.Wait(ctx)
	if err != nil {
		return nil, err
	}
	pause := time.Duration(0)
	for {
		places, why, err := unsettled(outcomes)
		if err != nil {
			return nil, err
		}
		if len(places) == 0 {
			break
		}
		if pause > 0 || penstock.CodeOf(why) == penstock.Limited {
			if err := w.rest(ctx, to, why, pause); err != nil {
				return nil, err
			}
		}
		pause = min(max(2*pause, firstPause), lastPause)
		if err := s.again(ctx, outcomes, places); err != nil {
			return nil, err
		}
	}
	if pause > firstPause {
		w.status.OK()
	}
	return outcomes, nil
}

// rest waits before the next attempt; what is settled goes out before.
func (w *Window[D]) rest(ctx context.Context, to Settler[D], why error, pause time.Duration) error {
	if err := w.flush(to); err != nil {
		return err
	}
	w.status.Failing("the node takes nothing for now: " + why.Error())
	return Pause(ctx, min(max(pause, penstock.RetryAfterOf(why)), lastPause))
}

// again submits the envelopes at the places once more and puts their outcomes
// where the others are.
func (s *Slot[D]) again(ctx context.Context, outcomes []penstock.Outcome, places []int) error {
	es := make([]penstock.Envelope, len(places))
	for i, place := range places {
		es[i] = s.envelopes[place]
	}
	fresh, err := s.next.Submit(ctx, es).Wait(ctx)
	if err != nil {
		return err
	}
	for i, place := range places {
		outcomes[place] = fresh[i]
	}
	return nil
}

// unsettled returns which outcomes may be another next time, and why one of them
// failed. Its error says that the node is closing: nobody will decide any more.
func unsettled(outcomes []penstock.Outcome) (places []int, why, closed error) {
	for i := range outcomes {
		switch err := outcomes[i].Err; {
		case err == nil:
		case penstock.CodeOf(err) == penstock.Closed:
			return nil, nil, err
		case penstock.CodeOf(err).Temporary():
			places, why = append(places, i), err
		}
	}
	return places, why, nil
}

// Refusal returns why something in the outcomes was refused for good, and ""
// when nothing was.
func Refusal(outcomes []penstock.Outcome) string {
	for i := range outcomes {
		if err := outcomes[i].Err; err != nil {
			return err.Error()
		}
		for k := range outcomes[i].Verdicts {
			if v := &outcomes[i].Verdicts[k]; v.Result == penstock.Rejected {
				return string(v.Reason) + ": " + v.Detail
			}
		}
	}
	return ""
}
