package amqp

import (
	"context"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/topic"
	"github.com/penstock/penstock/link"
)

// jsonType is the content type of a report in JSON.
const jsonType = "application/json"

// writing is one write under way.
type writing struct {
	*session
	confirms []*amqp091.DeferredConfirmation // a report each; nil where nothing was published
	failed   map[int]error
	returned map[string]string // what the broker could not route, by message id, and why
	broken   error             // why the channel ended
}

// write publishes the reports, and waits for what the broker says to each.
func (w *writing) write(ctx context.Context, rs []*penstock.Report) {
	w.confirms = make([]*amqp091.DeferredConfirmation, len(rs))
	for i, r := range rs {
		if i >= w.Window {
			w.settle(ctx, i-w.Window)
		}
		if err := w.publish(ctx, i, r); err != nil {
			w.failed[i] = err
		}
	}
	for i := max(0, len(rs)-w.Window); i < len(rs); i++ {
		w.settle(ctx, i)
	}
	for i, r := range rs {
		if len(w.returned) == 0 {
			break
		}
		if why, found := w.returned[sink.MessageID(r)]; found && w.confirms[i] != nil {
			w.failed[i] = penstock.Errorf(penstock.Unavailable, "%s", why)
		}
	}
}

// publish sends one report on its way.
func (w *writing) publish(ctx context.Context, i int, r *penstock.Report) error {
	if held := w.heldBack(); held != "" {
		return penstock.Errorf(penstock.Unavailable, "%s", held)
	}
	if w.broken != nil {
		return w.broken
	}
	key, err := w.routingKey(r)
	if err != nil {
		return err
	}
	m, err := w.message(r)
	if err != nil {
		return err
	}
	w.confirms[i], err = w.channel.PublishWithDeferredConfirmWithContext(ctx, w.Exchange, key, true, false, m)
	if err != nil {
		w.confirms[i] = nil
		return w.unanswered(ctx)
	}
	return nil
}

// settle waits for what the broker says to one report.
func (w *writing) settle(ctx context.Context, i int) {
	confirm := w.confirms[i]
	if confirm == nil {
		return
	}
	confirmed, err := confirm.WaitContext(ctx)
	switch {
	case err != nil || !confirmed && w.channel.IsClosed():
		w.failed[i] = w.unanswered(ctx)
	case !confirmed:
		w.failed[i] = penstock.Errorf(penstock.Unavailable, "the broker %s refused the message for now: the queue behind %s may be full", w.server.Address, w.place())
	}
	w.noteReturns()
}

// noteReturns takes what the broker has returned so far.
func (w *writing) noteReturns() {
	for {
		select {
		case r, open := <-w.returns:
			if !open {
				return // with the channel
			}
			w.returned[r.MessageId] = w.unroutable(r)
		default:
			return
		}
	}
}

func (w *writing) unroutable(r amqp091.Return) string {
	if r.Exchange == "" {
		return "the broker returned the message: there is no queue " + r.RoutingKey + ": make it, or set declare: true"
	}
	return "the broker returned the message: no queue is bound to exchange " + r.Exchange + " for routing key " + r.RoutingKey + ": bind one"
}

// unanswered returns why there is no answer any more.
func (w *writing) unanswered(ctx context.Context) error {
	if ctx.Err() != nil {
		if held := w.heldBack(); held != "" {
			return penstock.Errorf(penstock.Unavailable, "%s", held)
		}
		return penstock.Errorf(penstock.Unavailable, "the broker %s has not confirmed the message in time: %w", w.server.Address, ctx.Err())
	}
	if w.broken == nil {
		w.broken = w.broke(ctx)
	}
	return w.broken
}

// outcome returns what Write returns. Where the broker refused a message and did not
// say which, that is one error for all.
func (w *writing) outcome(rs []*penstock.Report) error {
	switch {
	case len(w.failed) == 0:
		return nil
	case len(rs) > 1 && w.broken != nil && penstock.CodeOf(w.broken) == penstock.TooLarge:
		return w.broken
	}
	return &penstock.WriteError{Failed: w.failed}
}

// message returns the message of a report. Errors have code [penstock.Invalid] or
// [penstock.TooLarge].
func (s *settings) message(r *penstock.Report) (m amqp091.Publishing, err error) {
	m = amqp091.Publishing{
		ContentType: jsonType, DeliveryMode: amqp091.Persistent, MessageId: sink.MessageID(r), AppId: "penstock",
		Timestamp: time.Unix(0, r.ReceivedTime), Headers: headers(r),
	}
	if s.Payload == topic.Binary {
		m.ContentType = link.MediaType
		m.Body = link.AppendReport(nil, r)
	} else if m.Body, err = reportjson.AppendReport(nil, r); err != nil {
		return m, err
	}
	if len(m.Body) > s.maxMessage {
		return m, penstock.Errorf(penstock.TooLarge, "its message has %d bytes, above max_message (%d)", len(m.Body), s.maxMessage)
	}
	return m, nil
}

// headers returns the identity in the parts by which other gateways know it.
func headers(r *penstock.Report) amqp091.Table {
	h := amqp091.Table{controllerName: r.Controller}
	switch id := r.Identity; id.Form {
	case penstock.Sequence:
		h[topic.EpochName], h[topic.SeqName] = int64(id.Epoch), int64(id.Seq)
	case penstock.Keyed:
		h[topic.KeyName] = id.Key
	case penstock.Natural:
	}
	return h
}
