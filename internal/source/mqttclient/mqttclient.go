package mqttclient

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/remote/mqttsession"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/topic"
)

// The times of the session.
const (
	answerTimeout = 10 * time.Second     // for the broker's answer to a packet
	ackInterval   = 2 * time.Millisecond // acknowledgements that are due go out together
)

// Source is the client of one broker.
type Source struct {
	settings
	env      source.Env
	port     *evidence.Page
	messages source.Messages
	edges    *source.Edges[origin] // nil without Sparkplug B
}

// New returns a source that is not connected yet. Errors have code
// [penstock.Invalid].
func New(c Config, env source.Env) (*Source, error) {
	s, err := newSettings(c)
	if err != nil {
		return nil, err
	}
	if s.ClientID == "" {
		s.ClientID = "penstock-" + env.Name
	}
	src := &Source{
		settings: s, env: env, port: env.Evidence.Port(env.Name),
		messages: source.Messages{Env: env, Peer: s.server.Address, Controllers: s.Controllers},
	}
	if s.router.Has(topic.Sparkplug) {
		src.edges, err = source.NewEdges[origin](env, s.Sparkplug)
	}
	return src, err
}

// Run implements [penstock.Source]: one connection, until it breaks. A broker that
// refuses MQTT 5, or hangs up when it hears it, is asked again in 3.1.1.
func (s *Source) Run(ctx context.Context, next penstock.Handler) error {
	if s.Version == Version311 {
		return s.speak(ctx, next, true)
	}
	err := s.speak(ctx, next, false)
	if s.Version == "" && errors.Is(err, errOlder) {
		s.env.Log.Info("the broker does not speak MQTT 5: trying 3.1.1; version: 3.1.1 saves the first attempt", "server", s.server.Address)
		return s.speak(ctx, next, true)
	}
	return err
}

// errOlder says that the broker knows nothing of MQTT 5.
var errOlder = errors.New("it does not speak MQTT 5")

// speak is one connection in MQTT 5, or in 3.1.1.
func (s *Source) speak(ctx context.Context, next penstock.Handler, old bool) error {
	network, err := s.server.Dial(ctx, s.TLS)
	if err != nil {
		return err
	}
	limited := newConn(network, int(s.MaxPacket))
	var carrier net.Conn = limited
	if old {
		carrier = newOlder(limited)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := newFailure()
	in := &intake{
		Source: s, ready: make(chan struct{}), old: old,
		window: source.NewWindow[*paho.Publish](next, s.env.Status, s.ReceiveMaximum),
	}
	session := mqttsession.New()
	defer session.Close()
	in.client = paho.NewClient(paho.ClientConfig{
		Conn: packets.NewThreadSafeConn(carrier), Session: session,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			in.receive(ctx, p.Packet)
			return true, nil
		}},
		OnServerDisconnect:         func(d *paho.Disconnect) { failed.with(disconnected(d)) },
		OnClientError:              func(err error) { failed.with(penstock.Errorf(penstock.Unavailable, "the connection broke: %w", err)) },
		EnableManualAcknowledgment: true,
		SendAcksInterval:           ackInterval,
		PacketTimeout:              answerTimeout,
	})
	if in.present, err = s.connect(ctx, in.client, old); err != nil {
		if !old && limited.older.Load() {
			err = s.refused(errOlder)
		}
		return err // the client has closed the connection
	}
	var work sync.WaitGroup
	work.Go(func() { failed.with(in.window.Run(ctx, in)) })
	work.Go(func() { s.begin(ctx, in, &work, failed) })
	err = failed.wait(ctx)
	cancel()
	_ = network.SetWriteDeadline(time.Now().Add(answerTimeout / 10))
	_ = in.client.Disconnect(&paho.Disconnect{}) // the session stays, as CONNECT asked
	<-in.client.Done()
	work.Wait()
	s.port.Count(evidence.Lost)
	return err
}

// begin lets the messages in.
func (s *Source) begin(ctx context.Context, in *intake, work *sync.WaitGroup, failed failure) {
	s.port.Count(evidence.Connected)
	s.port.Peer(s.server.Address)
	if s.edges != nil {
		s.edges.Reconnected(ctx, in)
		work.Go(func() { s.edges.Run(ctx, in) })
	}
	close(in.ready)
	if err := s.subscribe(ctx, in.client); err != nil {
		failed.with(err)
		return
	}
	s.env.Status.OK()
}

// failure is why a connection ended; the first reason counts.
type failure struct{ reasons chan error }

func newFailure() failure { return failure{make(chan error, 1)} }

func (f failure) with(err error) {
	select {
	case f.reasons <- err:
	default:
	}
}

// wait returns the reason, or nil when ctx ends first.
func (f failure) wait(ctx context.Context) error {
	select {
	case err := <-f.reasons:
		if ctx.Err() != nil {
			return nil
		}
		return err
	case <-ctx.Done():
		return nil
	}
}

// connect begins the session, and tells whether the broker had it.
func (s *Source) connect(ctx context.Context, client *paho.Client, old bool) (present bool, err error) {
	receiveMaximum, maxPacket := uint16(s.ReceiveMaximum), uint32(s.MaxPacket)
	answer, err := client.Connect(ctx, &paho.Connect{
		ClientID:     s.ClientID,
		KeepAlive:    s.keepalive,
		Username:     s.User,
		UsernameFlag: s.User != "",
		Password:     []byte(s.Password.Reveal()),
		PasswordFlag: s.Password.Set(),
		Properties: &paho.ConnectProperties{
			SessionExpiryInterval: &s.session,
			ReceiveMaximum:        &receiveMaximum,
			MaximumPacketSize:     &maxPacket,
			RequestProblemInfo:    true,
		},
	})
	switch {
	case err == nil:
		if !answer.SessionPresent {
			s.env.Log.Info("the broker has no session of this client: what was published before now will not come", "client_id", s.ClientID)
		}
		return answer.SessionPresent, nil
	case answer != nil && answer.ReasonCode == unsupportedVersion && !old:
		return false, s.refused(errOlder)
	case answer != nil && answer.ReasonCode >= 0x80:
		return false, s.refused(errors.New(reason(answer.ReasonCode)))
	case old:
		return false, penstock.Errorf(penstock.Unavailable, "connect to the broker %s with MQTT 3.1.1: %w", s.server.Address, err)
	}
	return false, penstock.Errorf(penstock.Unavailable, "connect to the broker %s with MQTT 5: %w", s.server.Address, err)
}

func (s *Source) refused(why error) error {
	return penstock.Errorf(penstock.Unavailable, "the broker %s refused the connection: %w", s.server.Address, why)
}

// unsupportedVersion is the reason code for a version that a broker does not speak.
const unsupportedVersion = 0x84

func (s *Source) subscribe(ctx context.Context, client *paho.Client) error {
	const onlyWhenNew, never = 1, 2
	retain := byte(never)
	if s.Retained {
		retain = onlyWhenNew
	}
	for _, filter := range s.filters() {
		_, err := client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{
			{Topic: filter, QoS: 1, RetainHandling: retain},
		}})
		if err != nil {
			return penstock.Errorf(penstock.Unavailable, "subscribe to %s: %w", filter, err)
		}
	}
	return nil
}

func disconnected(d *paho.Disconnect) error {
	return penstock.Errorf(penstock.Unavailable, "the broker ended the connection: %s", reason(d.ReasonCode))
}

// reason says what a reason code of MQTT 5 means for the person who must act.
func reason(code byte) string {
	switch code {
	case unsupportedVersion:
		return "it does not speak this version of MQTT"
	case 0x85:
		return "it does not take the client_id"
	case 0x86, 0x87: // brokers give either for a wrong password
		return "user or password is wrong, or the user is not allowed to"
	case 0x8B:
		return "it is shutting down"
	case 0x8E:
		return "another client uses the same client_id"
	}
	text := (&packets.Disconnect{ReasonCode: code}).Reason()
	if text == "" {
		text = "no reason given"
	}
	return text
}
