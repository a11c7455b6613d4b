package mqtt

import (
	"context"
	"net"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	sessions "github.com/eclipse/paho.golang/paho/session"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/remote/mqttsession"
)

// The times of a connection.
const (
	answerTimeout = 10 * time.Second // for the broker's answer to the connection
	closeTimeout  = time.Second
)

// session is a connection to the broker.
type session struct {
	*settings
	network net.Conn
	conn    net.Conn // the same, for several that write
	client  *paho.Client
	state   sessions.SessionManager
	broken  chan error // why the connection ended; the first reason counts
	why     error      // what broken said
	most    int64      // bytes of a packet that the broker takes; 0 for no limit
	node    *node      // nil unless the sink is an edge node of Sparkplug B
}

// open connects and introduces the gateway.
func (s *Sink) open(ctx context.Context) (*session, error) {
	network, err := s.server.Dial(ctx, s.TLS)
	if err != nil {
		return nil, err
	}
	o := &session{settings: &s.settings, network: network, conn: packets.NewThreadSafeConn(network), state: mqttsession.New(), broken: make(chan error, 1)}
	will, pings := s.edge.connect(o)
	o.client = paho.NewClient(paho.ClientConfig{
		Conn: o.conn, Session: o.state, PacketTimeout: answerTimeout, PingHandler: pings, OnPublishReceived: s.edge.listen(o),
		OnServerDisconnect: func(d *paho.Disconnect) { o.ended(o.disconnected(d.ReasonCode)) },
		OnClientError: func(err error) {
			o.ended(penstock.Errorf(penstock.Unavailable, "the connection to the broker %s broke: %w", s.server.Address, err))
		},
	})
	answer, err := o.client.Connect(ctx, &paho.Connect{
		ClientID: s.ClientID, CleanStart: true, WillMessage: will, KeepAlive: uint16(s.keepalive.Seconds()),
		Username: s.User, UsernameFlag: s.User != "", Password: []byte(s.Password.Reveal()), PasswordFlag: s.Password.Set(),
		Properties: &paho.ConnectProperties{RequestProblemInfo: true},
	})
	if err != nil { // the client has closed the connection
		_ = o.state.Close()
		if answer != nil && answer.ReasonCode >= failure {
			return nil, penstock.Errorf(penstock.Unavailable, "the broker %s refused the connection: %s", s.server.Address, reason(answer.ReasonCode))
		}
		return nil, penstock.Errorf(penstock.Unavailable, "connect to the broker %s with MQTT 5: %w", s.server.Address, err)
	}
	if err = o.suits(answer.Properties); err == nil {
		err = s.edge.begin(ctx, o)
	}
	if err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

// suits notes what the broker can, and returns an error when that is too little.
func (o *session) suits(p *paho.ConnackProperties) error {
	if p == nil {
		return nil
	}
	if p.MaximumPacketSize != nil {
		o.most = int64(*p.MaximumPacketSize)
	}
	switch {
	case p.MaximumQoS != nil && int(*p.MaximumQoS) < o.QoS:
		return penstock.Errorf(penstock.Unavailable, "the broker %s takes QoS %d at most: set qos", o.server.Address, *p.MaximumQoS)
	case o.Retain && !p.RetainAvailable:
		return penstock.Errorf(penstock.Unavailable, "the broker %s keeps no messages: set retain: false", o.server.Address)
	}
	return nil
}

// ended notes why the connection ended.
func (o *session) ended(why error) {
	select {
	case o.broken <- why:
	default:
	}
}

// disconnected returns what the broker's last word means. A packet that is too large
// for it, it does not name.
func (o *session) disconnected(code byte) error {
	kind := penstock.Unavailable
	if code == packets.DisconnectPacketTooLarge {
		kind = penstock.TooLarge
	}
	return penstock.Errorf(kind, "the broker %s ended the connection: %s", o.server.Address, reason(code))
}

// over tells whether the connection has ended.
func (o *session) over() bool {
	select {
	case <-o.client.Done():
		return true
	default:
		return len(o.broken) > 0 || o.why != nil
	}
}

// broke returns why the connection ended. The library says it a moment after the end.
func (o *session) broke(ctx context.Context) error {
	if o.why != nil {
		return o.why
	}
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	o.why = penstock.Errorf(penstock.Unavailable, "the connection to the broker %s broke", o.server.Address)
	select {
	case o.why = <-o.broken:
	case <-timer.C:
	case <-ctx.Done():
	}
	return o.why
}

// abandon ends the connection without a word to the broker.
func (o *session) abandon() { _ = o.network.Close() }

// close ends the connection and what runs for it.
func (o *session) close() {
	_ = o.network.SetWriteDeadline(time.Now().Add(closeTimeout))
	_ = o.client.Disconnect(&paho.Disconnect{ReasonCode: o.node.farewell()})
	<-o.client.Done()
	o.node.close()
	_ = o.state.Close()
}
