package opcua

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/gopcua/opcua/ua"
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/opcua/session"
)

// The sizes of what is asked for at once.
const (
	itemsAtOnce        = 500
	notificationsAtOne = 1000 // of one publish response
)

// standing is a subscription as the server holds it. The window's goroutine adds
// to owed while the feed's takes from it.
type standing struct {
	id        uint32 // 0 for none
	next      uint32 // the sequence number that comes next
	keepalive time.Duration
	refused   []string // nodes that the server does not watch
	asked     uint32   // the message that is being asked for again, 0 for none
	deadly    uint32   // the message that was, when the process before this one died; 0 for none

	mu   sync.Mutex
	owed []uint32 // durable here, and not yet acknowledged to the server
}

// settled notes that a message is durable.
func (s *standing) settled(seq uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.owed, seq) {
		s.owed = append(s.owed, seq)
	}
}

// owes returns what is durable and not yet acknowledged.
func (s *standing) owes() []uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.owed)
}

// paid notes that the server knows.
func (s *standing) paid(seq uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.owed, seq); i >= 0 {
		s.owed = slices.Delete(s.owed, i, i+1)
	}
}

// forget says that the server does not hold the subscription any more.
func (s *standing) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.next, s.owed, s.refused, s.asked, s.deadly = 0, 0, nil, nil, 0, 0
}

// subscription is a standing one with its group, on this connection.
type subscription struct {
	*standing
	*group
	silence time.Duration // with a publish request waiting for an answer
}

// follows returns the sequence number after seq: it is never 0.
func follows(seq uint32) uint32 {
	if seq == math.MaxUint32 {
		return 1
	}
	return seq + 1
}

// ahead tells whether seq comes after what was expected, which may have begun
// anew with 1.
func ahead(seq, expected uint32) bool { return int32(seq-expected) > 0 }

// subscribe makes the server watch what the configuration says, going on with
// what it still holds.
func (f *feed) subscribe(ctx context.Context) error {
	available := f.transfer(ctx)
	for i := range f.groups {
		sub := &subscription{standing: &f.memory.standing[i], group: &f.groups[i]}
		seqs, held := available[sub.id]
		if !held && sub.id != 0 {
			f.gone(sub)
		}
		if held {
			f.byID[sub.id] = sub
			if err := f.resume(ctx, sub, seqs); err != nil {
				return err
			}
			continue
		}
		if err := f.create(ctx, sub); err != nil {
			sub.forget() // half made: the server lets it lapse
			return err
		}
		f.byID[sub.id] = sub
	}
	return nil
}

// transfer takes over what an earlier session left, and returns by subscription
// which messages the server still holds.
func (f *feed) transfer(ctx context.Context) map[uint32][]uint32 {
	var ids []uint32
	safe := true // nothing that the server holds has ended the process
	for i := range f.memory.standing {
		s := &f.memory.standing[i]
		if s.id != 0 {
			ids = append(ids, s.id)
		}
		safe = safe && s.deadly == 0
	}
	if len(ids) == 0 {
		return nil
	}
	res, err := ask[*ua.TransferSubscriptionsResponse](ctx, f, &ua.TransferSubscriptionsRequest{SubscriptionIDs: ids, SendInitialValues: safe})
	if err != nil || len(res.Results) != len(ids) {
		f.env.Log.Info("the server does not hand the old subscriptions over; they are made anew", "error", err)
		return nil
	}
	available := map[uint32][]uint32{}
	for i, r := range res.Results {
		if penstock.Status(r.StatusCode).IsGood() {
			available[ids[i]] = r.AvailableSequenceNumbers
		}
	}
	return available
}

// gone forgets a subscription that the server has not kept. What changed since
// and changed back is lost; the new one begins with the values as they are.
func (f *feed) gone(sub *subscription) {
	f.env.Log.Warn("the server has forgotten a subscription; changes since the connection was lost may be missing", "group", sub.name)
	f.gap(sub, 1)
	sub.forget()
}

// resume fetches what the server sent while nobody listened.
func (f *feed) resume(ctx context.Context, sub *subscription, available []uint32) error {
	owed := sub.owes()
	for _, seq := range available {
		if slices.Contains(owed, seq) {
			continue // it is durable; only the acknowledgement was lost
		}
		if ahead(seq, sub.next) {
			if err := f.recover(ctx, sub, seq); err != nil {
				return err
			}
		}
		err := f.republish(ctx, sub, seq)
		if errors.Is(err, errNotKept) {
			f.gap(sub, 1)
			if sub.next == seq {
				sub.next = follows(seq)
			}
			f.memory.keep()
			if errors.Is(err, errDeadly) {
				continue
			}
			err = f.reread(ctx, sub)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// create makes a subscription and what it watches.
func (f *feed) create(ctx context.Context, sub *subscription) error {
	alive := keepalives(f.keepalive, sub.publish)
	lifetime := max(uint32(f.lifetime/sub.publish), 3*alive+1)
	res, err := ask[*ua.CreateSubscriptionResponse](ctx, f, &ua.CreateSubscriptionRequest{
		RequestedPublishingInterval: milliseconds(sub.publish), RequestedLifetimeCount: lifetime, RequestedMaxKeepAliveCount: alive,
		MaxNotificationsPerPublish: notificationsAtOne, PublishingEnabled: true,
	})
	if err != nil {
		return session.Failure("the server makes no subscription", err)
	}
	sub.id, sub.next = res.SubscriptionID, 1
	sub.standing.keepalive = time.Duration(float64(max(res.RevisedMaxKeepAliveCount, 1)) * res.RevisedPublishingInterval * float64(time.Millisecond))
	for first := 0; first < len(sub.nodes); first += itemsAtOnce {
		last := min(first+itemsAtOnce, len(sub.nodes))
		if err := f.watch(ctx, sub, first, last); err != nil {
			return err
		}
	}
	if len(sub.refused) == len(sub.nodes) {
		return penstock.Errorf(penstock.NotFound, "the server watches none of the nodes of the group %q, the first: %s", sub.name, sub.refused[0])
	}
	return nil
}

// watch makes the items of the nodes first to last, without last.
func (f *feed) watch(ctx context.Context, sub *subscription, first, last int) error {
	req := &ua.CreateMonitoredItemsRequest{SubscriptionID: sub.id, TimestampsToReturn: ua.TimestampsToReturnBoth}
	for i := first; i < last; i++ {
		req.ItemsToCreate = append(req.ItemsToCreate, &ua.MonitoredItemCreateRequest{
			ItemToMonitor: readOf(&sub.nodes[i]), MonitoringMode: ua.MonitoringModeReporting,
			RequestedParameters: &ua.MonitoringParameters{
				ClientHandle: uint32(i + 1), SamplingInterval: milliseconds(sub.sampling), QueueSize: sub.queue, DiscardOldest: !sub.keepOldest,
			},
		})
	}
	res, err := ask[*ua.CreateMonitoredItemsResponse](ctx, f, req)
	if err != nil {
		return session.Failure("the server watches no nodes", err)
	}
	if len(res.Results) != last-first {
		return penstock.Errorf(penstock.Unavailable, "the server answered for %d of %d nodes", len(res.Results), last-first)
	}
	var missing []reading
	for i, r := range res.Results {
		status := penstock.Status(r.StatusCode)
		if !status.IsBad() {
			continue
		}
		n := &sub.nodes[first+i]
		why := n.Node.Node + ": " + status.String()
		sub.refused = append(sub.refused, why)
		f.env.Evidence.Controller(n.Controller).Bad(evidence.Exception, nil, "the server does not watch "+why)
		f.port.Count(evidence.Exception)
		f.env.Log.Warn("the server does not watch a node", "node", n.Node.Node, "controller", n.Controller, "point", n.Point, "status", status)
		missing = append(missing, reading{n, &ua.DataValue{EncodingMask: ua.DataValueStatusCode, Status: r.StatusCode}})
	}
	return f.deliver(ctx, sub, 0, missing)
}

func readOf(n *node) *ua.ReadValueID {
	return &ua.ReadValueID{NodeID: n.id, AttributeID: ua.AttributeIDValue, IndexRange: n.index, DataEncoding: &ua.QualifiedName{}}
}

// reread takes the values as they are now, after a gap.
func (f *feed) reread(ctx context.Context, sub *subscription) error {
	for first := 0; first < len(sub.nodes); first += itemsAtOnce {
		nodes := sub.nodes[first:min(first+itemsAtOnce, len(sub.nodes))]
		req := &ua.ReadRequest{TimestampsToReturn: ua.TimestampsToReturnBoth}
		for i := range nodes {
			req.NodesToRead = append(req.NodesToRead, readOf(&nodes[i]))
		}
		res, err := ask[*ua.ReadResponse](ctx, f, req)
		if err != nil {
			return session.Failure("the values could not be read anew after a gap", err)
		}
		var readings []reading
		for i, v := range res.Results {
			if i < len(nodes) && v != nil {
				readings = append(readings, reading{&nodes[i], v})
			}
		}
		if err := f.deliver(ctx, sub, 0, readings); err != nil {
			return err
		}
	}
	return nil
}

// gap counts messages that are lost for good, on everybody of the group.
func (f *feed) gap(sub *subscription, messages uint64) {
	f.port.Add(evidence.Gap, messages)
	counted := map[string]bool{}
	for i := range sub.nodes {
		name := sub.nodes[i].Controller
		if !counted[name] {
			counted[name] = true
			f.env.Evidence.Controller(name).Add(evidence.Gap, messages)
		}
	}
}

// ask sends a request that is to be answered at once.
func ask[R ua.Response](ctx context.Context, f *feed, req ua.Request) (R, error) {
	answer, err := session.Ask[R](ctx, f.client, req)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		f.note(evidence.Timeout)
	}
	return answer, err
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
