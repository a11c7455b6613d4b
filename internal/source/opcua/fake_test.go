package opcua_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uacp"
	"github.com/gopcua/opcua/uasc"
)

// fake is a server whose subscriptions do what a test says, on the library's
// channels.
type fake struct {
	t        *testing.T
	listener *uacp.Listener
	work     sync.WaitGroup

	mu       sync.Mutex // guards everything below
	subs     map[uint32]*fakeSub
	made     uint32
	waiting  []request
	acks     []ua.SubscriptionAcknowledgement
	values   map[string]*ua.DataValue // what a read gives, by node id
	unknown  map[string]bool          // node ids that are not watched
	transfer bool                     // subscriptions are handed over
	queue    uint32                   // that was asked for
	created  int
	sessions uint32
	token    any  // of the user, as it was shown last
	mute     bool // nothing is answered any more
	conns    []*uacp.Conn
	replays  int
}

type fakeSub struct {
	id       uint32
	handles  map[string]uint32
	seq      uint32
	retained map[uint32]*ua.NotificationMessage
	ready    []*ua.NotificationMessage
}

type request struct {
	channel *uasc.SecureChannel
	id      uint32
	header  *ua.RequestHeader
	results []ua.StatusCode
}

func newFake(t *testing.T) *fake {
	t.Helper()
	l, err := uacp.Listen(t.Context(), "opc.tcp://127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{
		t: t, listener: l, subs: map[uint32]*fakeSub{}, values: map[string]*ua.DataValue{}, unknown: map[string]bool{}, transfer: true,
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.work.Go(func() { f.accept(ctx) })
	t.Cleanup(func() {
		cancel()
		l.Close()
		f.cut()
		f.work.Wait()
	})
	return f
}

func (f *fake) endpoint() string { return "opc.tcp://" + f.listener.Addr().String() }

// cut breaks all connections.
func (f *fake) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		c.Close()
	}
	f.conns, f.waiting = nil, nil
}

func (f *fake) accept(ctx context.Context) {
	for n := uint32(1); ; n++ {
		c, err := f.listener.Accept(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			continue
		}
		f.mu.Lock()
		f.conns = append(f.conns, c)
		f.mu.Unlock()
		f.work.Go(func() { f.serve(ctx, c, n) })
	}
}

func (f *fake) serve(ctx context.Context, c *uacp.Conn, n uint32) {
	defer c.Close()
	config := &uasc.Config{SecurityPolicyURI: ua.SecurityPolicyURINone, SecurityMode: ua.MessageSecurityModeNone, Lifetime: 3600_000}
	channel, err := uasc.NewServerSecureChannel("", c, config, make(chan error, 1), n, 1, n)
	if err != nil {
		f.t.Error(err)
		return
	}
	defer channel.Close()
	for {
		msg := channel.Receive(ctx)
		if msg.Err != nil {
			return
		}
		if req := msg.Request(); req != nil {
			if res := f.answer(channel, req, msg.RequestID); res != nil {
				_ = channel.SendResponseWithContext(ctx, msg.RequestID, res) // the connection may have been cut
			}
		}
	}
}

// answer returns the answer to a request, nil for one that comes later.
func (f *fake) answer(c *uasc.SecureChannel, r ua.Request, reqID uint32) ua.Response {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := answerTo(r.Header(), ua.StatusOK)
	if f.mute {
		return nil
	}
	switch req := r.(type) {
	case *ua.GetEndpointsRequest:
		return &ua.GetEndpointsResponse{ResponseHeader: h, Endpoints: f.endpoints()}
	case *ua.CreateSessionRequest:
		f.sessions++
		return &ua.CreateSessionResponse{
			ResponseHeader: h, SessionID: ua.NewNumericNodeID(1, f.sessions), AuthenticationToken: ua.NewNumericNodeID(0, f.sessions),
			RevisedSessionTimeout: req.RequestedSessionTimeout, ServerSignature: &ua.SignatureData{}, ServerNonce: make([]byte, 32),
			ServerEndpoints: f.endpoints(),
		}
	case *ua.ActivateSessionRequest:
		f.token = req.UserIdentityToken.Value
		return &ua.ActivateSessionResponse{ResponseHeader: h, ServerNonce: make([]byte, 32)}
	case *ua.CloseSessionRequest:
		if req.DeleteSubscriptions {
			clear(f.subs)
		}
		return &ua.CloseSessionResponse{ResponseHeader: h}
	case *ua.CreateSubscriptionRequest:
		return f.createSubscription(req, h)
	case *ua.CreateMonitoredItemsRequest:
		return f.createItems(req, h)
	case *ua.PublishRequest:
		return f.publish(c, req, reqID)
	case *ua.RepublishRequest:
		return f.republish(req, h)
	case *ua.TransferSubscriptionsRequest:
		return f.transferSubscriptions(req, h)
	case *ua.ReadRequest:
		return f.read(req, h)
	}
	return &ua.ServiceFault{ResponseHeader: answerTo(r.Header(), ua.StatusBadServiceUnsupported)}
}

func (f *fake) endpoints() []*ua.EndpointDescription {
	return []*ua.EndpointDescription{{
		EndpointURL: f.endpoint(), Server: &ua.ApplicationDescription{ApplicationName: ua.NewLocalizedText("fake")},
		SecurityMode: ua.MessageSecurityModeNone, SecurityPolicyURI: ua.SecurityPolicyURINone,
		UserIdentityTokens: []*ua.UserTokenPolicy{
			{PolicyID: "anybody", TokenType: ua.UserTokenTypeAnonymous}, {PolicyID: "name", TokenType: ua.UserTokenTypeUserName},
		},
	}}
}

func answerTo(h *ua.RequestHeader, status ua.StatusCode) *ua.ResponseHeader {
	return &ua.ResponseHeader{
		Timestamp: time.Now(), RequestHandle: h.RequestHandle, ServiceResult: status,
		ServiceDiagnostics: &ua.DiagnosticInfo{}, StringTable: []string{}, AdditionalHeader: ua.NewExtensionObject(nil),
	}
}

func (f *fake) createSubscription(req *ua.CreateSubscriptionRequest, h *ua.ResponseHeader) ua.Response {
	f.made++
	f.created++
	f.subs[f.made] = &fakeSub{id: f.made, handles: map[string]uint32{}, retained: map[uint32]*ua.NotificationMessage{}}
	return &ua.CreateSubscriptionResponse{
		ResponseHeader: h, SubscriptionID: f.made, RevisedPublishingInterval: req.RequestedPublishingInterval,
		RevisedLifetimeCount: req.RequestedLifetimeCount, RevisedMaxKeepAliveCount: req.RequestedMaxKeepAliveCount,
	}
}

func (f *fake) createItems(req *ua.CreateMonitoredItemsRequest, h *ua.ResponseHeader) ua.Response {
	res := &ua.CreateMonitoredItemsResponse{ResponseHeader: h, DiagnosticInfos: []*ua.DiagnosticInfo{}}
	for i, item := range req.ItemsToCreate {
		name := item.ItemToMonitor.NodeID.String()
		status := ua.StatusOK
		if f.unknown[name] {
			status = ua.StatusBadNodeIDUnknown
		}
		f.queue = item.RequestedParameters.QueueSize
		f.subs[req.SubscriptionID].handles[name] = item.RequestedParameters.ClientHandle
		res.Results = append(res.Results, &ua.MonitoredItemCreateResult{
			StatusCode: status, MonitoredItemID: uint32(i + 1), FilterResult: ua.NewExtensionObject(nil),
		})
	}
	return res
}

func (f *fake) publish(c *uasc.SecureChannel, req *ua.PublishRequest, reqID uint32) ua.Response {
	results := []ua.StatusCode{}
	for _, ack := range req.SubscriptionAcknowledgements {
		f.acks = append(f.acks, *ack)
		if sub := f.subs[ack.SubscriptionID]; sub != nil {
			delete(sub.retained, ack.SequenceNumber)
		}
		results = append(results, ua.StatusOK)
	}
	if len(f.subs) == 0 {
		return &ua.PublishResponse{
			ResponseHeader: answerTo(req.RequestHeader, ua.StatusBadNoSubscription), AvailableSequenceNumbers: []uint32{}, Results: results,
			NotificationMessage: &ua.NotificationMessage{NotificationData: []*ua.ExtensionObject{}}, DiagnosticInfos: []*ua.DiagnosticInfo{},
		}
	}
	f.waiting = append(f.waiting, request{c, reqID, req.RequestHeader, results})
	f.flush()
	return nil
}

// flush answers publish requests with what is ready; f.mu is held.
func (f *fake) flush() {
	for _, sub := range f.subs {
		for len(sub.ready) > 0 && len(f.waiting) > 0 {
			q, msg := f.waiting[0], sub.ready[0]
			f.waiting = f.waiting[1:]
			if q.channel.SendResponseWithContext(context.Background(), q.id, &ua.PublishResponse{
				ResponseHeader: answerTo(q.header, ua.StatusOK), SubscriptionID: sub.id, AvailableSequenceNumbers: []uint32{},
				NotificationMessage: msg, Results: q.results, DiagnosticInfos: []*ua.DiagnosticInfo{},
			}) != nil {
				continue // the connection of that request is gone
			}
			sub.ready = sub.ready[1:]
		}
	}
}

func (f *fake) republish(req *ua.RepublishRequest, h *ua.ResponseHeader) ua.Response {
	f.replays++
	res := &ua.RepublishResponse{ResponseHeader: answerTo(req.RequestHeader, ua.StatusBadMessageNotAvailable),
		NotificationMessage: &ua.NotificationMessage{NotificationData: []*ua.ExtensionObject{}}}
	if sub := f.subs[req.SubscriptionID]; sub != nil && sub.retained[req.RetransmitSequenceNumber] != nil {
		res.NotificationMessage = sub.retained[req.RetransmitSequenceNumber]
		res.ResponseHeader.ServiceResult = ua.StatusOK
	}
	return res
}

func (f *fake) transferSubscriptions(req *ua.TransferSubscriptionsRequest, h *ua.ResponseHeader) ua.Response {
	f.waiting = nil
	res := &ua.TransferSubscriptionsResponse{ResponseHeader: h, DiagnosticInfos: []*ua.DiagnosticInfo{}}
	for _, subID := range req.SubscriptionIDs {
		result := &ua.TransferResult{StatusCode: ua.StatusBadSubscriptionIDInvalid, AvailableSequenceNumbers: []uint32{}}
		if sub := f.subs[subID]; sub != nil && f.transfer {
			result.StatusCode = ua.StatusOK
			sub.ready = nil // they are in the retransmission queue
			for seq := uint32(1); seq <= sub.seq; seq++ {
				if sub.retained[seq] != nil {
					result.AvailableSequenceNumbers = append(result.AvailableSequenceNumbers, seq)
				}
			}
		}
		res.Results = append(res.Results, result)
	}
	return res
}

func (f *fake) read(req *ua.ReadRequest, h *ua.ResponseHeader) ua.Response {
	res := &ua.ReadResponse{ResponseHeader: h, DiagnosticInfos: []*ua.DiagnosticInfo{}}
	for _, n := range req.NodesToRead {
		v := f.values[n.NodeID.String()]
		if v == nil {
			v = &ua.DataValue{EncodingMask: ua.DataValueStatusCode, Status: ua.StatusBadNodeIDUnknown}
		}
		res.Results = append(res.Results, v)
	}
	return res
}

// How a message goes on its way.
type way int

const (
	sent    way = iota
	delayed     // kept by the server, never sent by itself
	dropped     // neither sent nor kept
)

// change makes every subscription that watches the node tell of a value, and
// returns the number of the message.
func (f *fake) change(w way, node string, values ...*ua.DataValue) ua.SubscriptionAcknowledgement {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, sub := range f.subs {
		handle, watched := sub.handles[node]
		if !watched {
			continue
		}
		data := &ua.DataChangeNotification{DiagnosticInfos: []*ua.DiagnosticInfo{}}
		for _, v := range values {
			data.MonitoredItems = append(data.MonitoredItems, &ua.MonitoredItemNotification{ClientHandle: handle, Value: v})
		}
		return f.tell(sub, w, data)
	}
	f.t.Errorf("nobody watches %s", node)
	return ua.SubscriptionAcknowledgement{}
}

// tell sends a notification; f.mu is held.
func (f *fake) tell(sub *fakeSub, w way, data any) ua.SubscriptionAcknowledgement {
	sub.seq++
	msg := &ua.NotificationMessage{SequenceNumber: sub.seq, PublishTime: time.Now(), NotificationData: []*ua.ExtensionObject{ua.NewExtensionObject(data)}}
	if w != dropped {
		sub.retained[sub.seq] = msg
	}
	if w == sent {
		sub.ready = append(sub.ready, msg)
		f.flush()
	}
	return ua.SubscriptionAcknowledgement{SubscriptionID: sub.id, SequenceNumber: sub.seq}
}

// keepalive says that there is nothing new.
func (f *fake) keepalive() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, sub := range f.subs {
		sub.ready = append(sub.ready, &ua.NotificationMessage{SequenceNumber: sub.seq + 1, PublishTime: time.Now(), NotificationData: []*ua.ExtensionObject{}})
	}
	f.flush()
}

// acknowledged tells whether the message was.
func (f *fake) acknowledged(a ua.SubscriptionAcknowledgement) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, ack := range f.acks {
		if ack == a {
			return true
		}
	}
	return false
}

// with looks at the fake, or changes it.
func (f *fake) with(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

func value(v any, at int64) *ua.DataValue {
	return &ua.DataValue{
		EncodingMask: ua.DataValueValue | ua.DataValueSourceTimestamp, Value: ua.MustVariant(v), SourceTimestamp: time.Unix(0, at),
	}
}
