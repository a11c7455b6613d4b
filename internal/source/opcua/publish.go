package opcua

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/gopcua/opcua/ua"
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/opcua/session"
	"github.com/penstock/penstock/link"
)

// Limits of what is under way.
const (
	maxUndecided  = 32        // messages that wait for the node's decision
	maxRepublish  = 1000      // missing messages that are asked for again
	maxUnreadable = 3         // answers in a row that cannot be decoded
	reportBytes   = 512 << 10 // of a report, about
	sampleBytes   = 48        // of a sample without its names and texts, at most
)

// feed is a source on one connection.
type feed struct {
	*Source
	client *session.Client
	window *source.Window[delivery]
	owner  *penstock.Principal
	byID   map[uint32]*subscription
}

// delivery is one message on its way to the spool.
type delivery struct {
	standing    *standing
	seq         uint32 // 0 for what the server does not want acknowledged
	controllers []*evidence.Page
}

// reading is what the server told of a node.
type reading struct {
	node  *node
	value *ua.DataValue
}

// Settle implements source.Settler: what is settled is acknowledged with the next
// publish request.
func (f *feed) Settle(d delivery, outcomes []penstock.Outcome) error {
	for i := range outcomes {
		if source.Refusal(outcomes[i:i+1]) != "" {
			d.controllers[i].Count(evidence.Refused)
			f.port.Count(evidence.Refused)
		}
	}
	if d.seq != 0 {
		d.standing.settled(d.seq)
	}
	return nil
}

// Flush implements source.Settler.
func (f *feed) Flush() error { return nil }

// run subscribes, and then asks for what is new until ctx ends or the server
// fails. One request is under way at a time, so that messages keep their order;
// what changes meanwhile the server sends together.
func (f *feed) run(ctx context.Context) error {
	if err := f.resolve(ctx); err != nil {
		return err
	}
	if err := f.subscribe(ctx); err != nil {
		return err
	}
	f.tell()
	unreadable := 0
	for {
		res, err := f.publish(ctx)
		switch {
		case err == nil:
			unreadable = 0
		case unreadableAnswer(err) && unreadable < maxUnreadable:
			unreadable++
			f.port.Bad(evidence.Malformed, nil, "an answer of the server could not be decoded: "+err.Error())
			continue // the message's number is missing then, and it is asked for once more
		default:
			return f.failed(ctx, err)
		}
		if err := f.take(ctx, res); err != nil {
			return err
		}
	}
}

// tell says whether all is well.
func (f *feed) tell() {
	nodes, refused, first := 0, 0, ""
	for _, sub := range f.byID {
		nodes += len(sub.nodes)
		if refused += len(sub.refused); len(sub.refused) > 0 && first == "" {
			first = sub.refused[0]
		}
	}
	if refused == 0 {
		f.env.Status.OK()
		return
	}
	f.env.Status.Failing(penstock.Errorf(penstock.NotFound, "the server does not watch %d of %d nodes, one is %s", refused, nodes, first).Error())
}

// publish sends a publish request, with the acknowledgements of what is durable, and
// waits for its answer.
func (f *feed) publish(ctx context.Context) (*ua.PublishResponse, error) {
	req := &ua.PublishRequest{SubscriptionAcknowledgements: []*ua.SubscriptionAcknowledgement{}}
	left := time.Duration(1<<63 - 1)
	for _, sub := range f.byID {
		left = min(left, f.patience(sub.standing.keepalive)-sub.silence)
		for _, seq := range sub.owes() {
			req.SubscriptionAcknowledgements = append(req.SubscriptionAcknowledgements,
				&ua.SubscriptionAcknowledgement{SubscriptionID: sub.id, SequenceNumber: seq})
		}
	}
	f.memory.keep()
	bounded, cancel := context.WithTimeout(ctx, max(left, time.Millisecond))
	defer cancel()
	asked := f.env.Now()
	res, err := session.Send[*ua.PublishResponse](bounded, f.client, req)
	waited := f.env.Now().Sub(asked)
	for _, sub := range f.byID {
		sub.silence += waited
	}
	if err != nil {
		return nil, err
	}
	for _, ack := range req.SubscriptionAcknowledgements {
		f.byID[ack.SubscriptionID].paid(ack.SequenceNumber) // whatever came of it: the server does not keep it for us
	}
	return res, nil
}

// failed says what an error of a publish request means.
func (f *feed) failed(ctx context.Context, err error) error {
	var status ua.StatusCode
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		if silent := f.silent(); silent != nil {
			return silent
		}
	case errors.As(err, &status) && status == ua.StatusBadNoSubscription:
		for _, sub := range f.byID {
			f.gone(sub)
		}
	}
	return session.Failure("the server publishes no more", err)
}

// silent returns an error when a subscription is dead, though the session may live.
func (f *feed) silent() error {
	for _, sub := range f.byID {
		if span := f.patience(sub.standing.keepalive); sub.silence >= span {
			f.note(evidence.Timeout)
			return penstock.Errorf(penstock.Unavailable, "the subscription %q is silent: not even a keepalive came for %v", sub.name, span)
		}
	}
	return nil
}

// take handles an answer.
func (f *feed) take(ctx context.Context, res *ua.PublishResponse) error {
	sub, msg := f.byID[res.SubscriptionID], res.NotificationMessage
	if sub == nil || msg == nil {
		f.port.Bad(evidence.Malformed, nil, "the server published a message of no subscription of ours")
		return nil
	}
	sub.silence = 0
	f.port.Count(evidence.Received)
	if err := f.silent(); err != nil {
		return err
	}
	if ahead(msg.SequenceNumber, sub.next) {
		if err := f.recover(ctx, sub, msg.SequenceNumber); err != nil {
			return err
		}
	}
	if len(msg.NotificationData) == 0 {
		return nil // a keepalive: its number is that of the message to come
	}
	return f.accept(ctx, sub, msg)
}

// accept hands on a message.
func (f *feed) accept(ctx context.Context, sub *subscription, msg *ua.NotificationMessage) error {
	var readings []reading
	var ended error
	for _, data := range msg.NotificationData {
		if data == nil {
			continue
		}
		switch n := data.Value.(type) {
		case *ua.DataChangeNotification:
			readings = f.collect(readings, sub, n)
		case *ua.StatusChangeNotification:
			ended = f.ended(sub, penstock.Status(n.Status))
		default:
			f.port.Bad(evidence.Malformed, nil, "the server sent a notification that was not subscribed")
		}
	}
	if err := f.deliver(ctx, sub, msg.SequenceNumber, readings); err != nil {
		return err
	}
	if !ahead(sub.next, msg.SequenceNumber) {
		sub.next = follows(msg.SequenceNumber)
	}
	return ended
}

// ended says that a subscription is over: the server gave it up, or somebody else
// has taken it.
func (f *feed) ended(sub *subscription, status penstock.Status) error {
	if status.IsBad() {
		f.gone(sub)
	}
	return penstock.Errorf(penstock.Unavailable, "the server ends the subscription of the group %q: %v", sub.name, status)
}

func (f *feed) collect(readings []reading, sub *subscription, n *ua.DataChangeNotification) []reading {
	for _, item := range n.MonitoredItems {
		if item == nil || item.Value == nil || item.ClientHandle < 1 || int(item.ClientHandle) > len(sub.nodes) {
			f.port.Bad(evidence.Malformed, nil, "the server sent a change of a node that is not watched")
			continue
		}
		readings = append(readings, reading{&sub.nodes[item.ClientHandle-1], item.Value})
	}
	return readings
}

// recover asks for the messages before seq that did not come.
func (f *feed) recover(ctx context.Context, sub *subscription, seq uint32) error {
	from, missing, deadly := sub.next, uint64(0), false
	for tried := 0; sub.next != seq && tried < maxRepublish; tried++ {
		switch err := f.republish(ctx, sub, sub.next); {
		case errors.Is(err, errNotKept):
			missing++
			deadly = deadly || errors.Is(err, errDeadly)
			sub.next = follows(sub.next)
		case err != nil:
			return err
		}
	}
	missing += uint64(seq - sub.next)
	sub.next = seq
	if missing == 0 {
		return nil
	}
	f.env.Log.Warn("messages of the server are lost; all values are read anew", "group", sub.name, "messages", missing, "from", from, "to", seq-1)
	f.gap(sub, missing)
	f.memory.keep()
	if deadly {
		return nil
	}
	return f.reread(ctx, sub)
}

// errNotKept says that the server does not hold a message any more, or only in a
// form that cannot be read.
var errNotKept = errors.New("the message is lost")

// errDeadly says that asking for a message ended the process. The values as they are
// may do so again, and are not asked for.
var errDeadly = fmt.Errorf("it ended the process: %w", errNotKept)

// republish fetches a message again and hands it on.
func (f *feed) republish(ctx context.Context, sub *subscription, seq uint32) error {
	if sub.deadly != 0 && seq == sub.deadly {
		f.env.Log.Warn("a message of the server ended the process of the source; it is not asked for again", "group", sub.name, "message", seq)
		f.port.Bad(evidence.Malformed, nil, "a message of the server ended the process of the source")
		sub.deadly = 0
		sub.settled(seq) // so that the server gives it up
		return errDeadly
	}
	sub.asked = seq
	f.memory.keep()
	res, err := ask[*ua.RepublishResponse](ctx, f, &ua.RepublishRequest{SubscriptionID: sub.id, RetransmitSequenceNumber: seq})
	sub.asked = 0
	var status ua.StatusCode
	switch {
	case err == nil && res.NotificationMessage != nil:
		return f.accept(ctx, sub, res.NotificationMessage)
	case err == nil:
		return errNotKept
	case errors.As(err, &status) && slices.Contains([]ua.StatusCode{ua.StatusBadMessageNotAvailable, ua.StatusBadServiceUnsupported,
		ua.StatusBadNotImplemented, ua.StatusBadNotSupported}, status):
		return errNotKept
	case unreadableAnswer(err):
		f.port.Bad(evidence.Malformed, nil, "a message that was sent again could not be decoded: "+err.Error())
		sub.settled(seq) // so that the server gives it up
		return errNotKept
	}
	return session.Failure("the server does not send a missing message again", err)
}

// unreadableAnswer tells whether the library could not decode an answer; it says
// so with errors of no kind.
func unreadableAnswer(err error) bool {
	var status ua.StatusCode
	if errors.As(err, &status) {
		return status == ua.StatusBadDecodingError || status == ua.StatusBadEncodingLimitsExceeded || status == ua.StatusBadUnknownResponse
	}
	var wire net.Error
	return !errors.As(err, &wire) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) &&
		!errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
}

// deliver submits readings as a report a controller. It waits while too many
// messages are undecided: then the server keeps what comes.
func (f *feed) deliver(ctx context.Context, sub *subscription, seq uint32, readings []reading) error {
	if len(readings) == 0 && seq == 0 {
		return nil
	}
	now := f.env.Now()
	var list []*pending
	open := map[string]*pending{}
	for _, r := range readings {
		sample := f.sample(r, now)
		name := r.node.Controller
		p := open[name]
		size := sampleBytes + len(sample.Point) + len(sample.Unit) + len(sample.Value.Text())
		if p == nil || p.size+size > reportBytes {
			p = &pending{report: penstock.Report{Controller: name}}
			open[name], list = p, append(list, p)
		}
		p.size += size
		p.report.Samples = append(p.report.Samples, sample)
	}
	d := delivery{standing: sub.standing, seq: seq}
	envelopes := make([]penstock.Envelope, len(list))
	for i, p := range list {
		page := f.env.Evidence.Controller(p.report.Controller)
		page.Count(evidence.Received)
		d.controllers = append(d.controllers, page)
		envelopes[i] = penstock.Envelope{
			Source: f.env.Name, Peer: f.Endpoint, ContentType: link.MediaType, Body: link.AppendReport(nil, &p.report),
			ReceivedTime: now.UnixNano(), Principal: f.owner,
		}
	}
	slot, err := f.window.Take(ctx, d)
	if err != nil {
		return err
	}
	slot.Submit(ctx, envelopes)
	return nil
}

// pending is a report that is being made.
type pending struct {
	report penstock.Report
	size   int
}

// sample makes a sample of what the server told, and counts what is wrong with it.
func (f *feed) sample(r reading, now time.Time) penstock.Sample {
	sample, why := sampleOf(r.node, r.value, now)
	page := f.env.Evidence.Controller(r.node.Controller)
	if lost(r.value.Status) {
		page.Count(evidence.Gap)
		f.port.Count(evidence.Gap)
	}
	if why != "" {
		why = r.node.Node.Node + ": " + why
		page.Bad(evidence.Malformed, nil, why)
		f.port.Bad(evidence.Malformed, nil, why)
		f.env.Log.Debug("a value cannot be kept", "why", why)
	}
	return sample
}
