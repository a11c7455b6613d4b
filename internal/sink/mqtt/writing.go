package mqtt

import (
	"context"
	"io"

	"github.com/eclipse/paho.golang/packets"

	"github.com/penstock/penstock"
)

// writing is one write under way.
type writing struct {
	*session
	pending []publication // that wait for their acknowledgement, oldest first
	failed  map[int]error // by report
}

// publication is one message that was sent.
type publication struct {
	report int
	topic  string
	answer chan packets.ControlPacket
}

// report publishes the messages of a report.
func (w *writing) report(ctx context.Context, i int, r *penstock.Report, keep func(message) bool) {
	ms, err := w.messages(r)
	for k := 0; k < len(ms) && err == nil; k++ {
		err = w.fits(ms[k])
	}
	for k := 0; k < len(ms) && err == nil; k++ {
		ms[k].packet.Retain = keep(ms[k])
		err = w.publish(ctx, i, ms[k])
	}
	if err != nil {
		w.failed[i] = err
	}
}

// fits returns an error when the broker does not take a message as large as this.
func (w *writing) fits(m message) error {
	size, err := m.packet.WriteTo(io.Discard)
	if err != nil {
		return penstock.Errorf(penstock.Invalid, "it makes no message of MQTT: %w", err)
	}
	if w.most > 0 && size > w.most {
		return penstock.Errorf(penstock.TooLarge, "its message has %d bytes; the broker %s takes %d", size, w.server.Address, w.most)
	}
	return nil
}

// publish sends a message, when the window has room for it.
func (w *writing) publish(ctx context.Context, i int, m message) error {
	for len(w.pending) >= w.Window {
		w.settle(ctx)
	}
	if w.why != nil || ctx.Err() != nil {
		return w.unanswered(ctx)
	}
	p := publication{report: i, topic: m.packet.Topic, answer: make(chan packets.ControlPacket, 1)}
	// The broker may want fewer under way than the window has; then this waits, and the
	// connection's end ends it.
	if err := w.state.AddToSession(ctx, m.packet, p.answer); err != nil {
		return w.unanswered(ctx)
	}
	w.pending = append(w.pending, p)
	if _, err := m.packet.WriteTo(w.conn); err != nil {
		w.ended(penstock.Errorf(penstock.Unavailable, "the connection to the broker %s broke: %w", w.server.Address, err))
		w.abandon() // the answer to what was sent says the rest
	}
	return nil
}

// settle waits for what the broker says to the oldest message.
func (w *writing) settle(ctx context.Context) {
	p := w.pending[0]
	w.pending = w.pending[1:]
	var answer packets.ControlPacket
	select {
	case answer = <-p.answer:
	case <-ctx.Done():
	case <-w.client.Done():
		select {
		case answer = <-p.answer: // it came before the end
		default:
		}
	}
	var err error
	switch a := answer.Content.(type) {
	case *packets.Puback:
		err = w.refusal(a.ReasonCode, p.topic)
	case *packets.Pubrec: // of QoS 2, when it refuses
		err = w.refusal(a.ReasonCode, p.topic)
	case *packets.Pubcomp:
		err = w.refusal(a.ReasonCode, p.topic)
	default:
		err = w.unanswered(ctx)
	}
	if err != nil && w.failed[p.report] == nil {
		w.failed[p.report] = err
	}
}

// unanswered returns why there is no answer any more.
func (w *writing) unanswered(ctx context.Context) error {
	if ctx.Err() != nil {
		return penstock.Errorf(penstock.Unavailable, "the broker %s has not acknowledged the message in time: %w", w.server.Address, ctx.Err())
	}
	return w.broke(ctx)
}

// outcome returns what Write returns. Where the broker refused a message and did not
// say which, that is one error for all.
func (w *writing) outcome(reports int) error {
	switch {
	case len(w.failed) == 0:
		return nil
	case reports > 1 && w.why != nil && penstock.CodeOf(w.why) == penstock.TooLarge:
		return w.why
	}
	return &penstock.WriteError{Failed: w.failed}
}
