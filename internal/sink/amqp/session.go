package amqp

import (
	"context"
	"net"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/remote/amqpconn"
)

// closeTimeout is how long the broker may take for the end of a connection.
const closeTimeout = time.Second

// session is a connection to the broker, with one channel.
type session struct {
	*settings
	conn    *amqp091.Connection
	network net.Conn
	channel *amqp091.Channel
	ended   chan *amqp091.Error
	// returns has room for every message that waits for its confirmation. The broker
	// returns a message before it confirms it, and the library hands both on in that
	// order: what was returned is here when the confirmation is.
	returns chan amqp091.Return
	work    sync.WaitGroup

	mu   sync.Mutex // guards held
	held string     // why the broker holds publishers back, empty while it does not
}

// open connects, makes the queue where that is asked for, and has messages confirmed.
func (s *Sink) open(ctx context.Context) (*session, error) {
	o := &session{
		settings: &s.settings,
		ended:    make(chan *amqp091.Error, 1),
		returns:  make(chan amqp091.Return, s.Window+1),
	}
	broker := amqpconn.Broker{
		Name: s.env.Name, Server: s.server, TLS: s.TLS, VirtualHost: s.vhost,
		User: s.User, Password: s.Password, Heartbeat: s.heartbeat,
	}
	var err error
	o.conn, err = broker.Open(ctx, func(c net.Conn) net.Conn { o.network = c; return c })
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, o.abandon)
	defer stop()
	blocked := o.conn.NotifyBlocked(make(chan amqp091.Blocking, 1))
	o.work.Go(func() { // the library waits until it is read
		for b := range blocked {
			s.env.Log.Warn("the broker holds publishers back, or lets them go on", "held", b.Active, "reason", b.Reason)
			o.hold(b)
		}
	})
	if err := o.prepare(); err != nil {
		o.close()
		return nil, penstock.Errorf(penstock.Unavailable, "%s at the broker %s: %w", o.place(), s.server.Address, err)
	}
	return o, nil
}

// prepare makes the channel, and the queue where that is asked for.
func (o *session) prepare() (err error) {
	if o.channel, err = o.conn.Channel(); err != nil {
		return err
	}
	o.channel.NotifyClose(o.ended)
	o.channel.NotifyReturn(o.returns)
	if o.Declare {
		if _, err := o.channel.QueueDeclare(o.Queue, true, false, false, false, amqp091.Table{"x-queue-type": "quorum"}); err != nil {
			return err
		}
		for _, key := range o.Bind {
			if err := o.channel.QueueBind(o.Queue, key, o.Exchange, false, nil); err != nil {
				return err
			}
		}
	}
	return o.channel.Confirm(false)
}

// place names where messages go.
func (s *settings) place() string {
	if s.Exchange == "" {
		return "queue " + s.Queue
	}
	return "exchange " + s.Exchange
}

// hold notes whether the broker holds publishers back.
func (o *session) hold(b amqp091.Blocking) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = ""
	if b.Active {
		o.held = "the broker " + o.server.Address + " holds publishers back: " + b.Reason
	}
}

// heldBack returns why the broker holds publishers back, empty while it does not.
func (o *session) heldBack() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.held
}

// abandon ends the connection without a word to the broker.
func (o *session) abandon() { _ = o.network.Close() }

// close ends the connection and what runs for it.
func (o *session) close() {
	_ = o.conn.CloseDeadline(time.Now().Add(closeTimeout))
	_ = o.network.Close()
	o.work.Wait()
}

// broke returns why the channel ended. A broker that closes it over a message with
// PRECONDITION_FAILED has found it too large, and does not say which one it was.
func (o *session) broke(ctx context.Context) error {
	var why *amqp091.Error
	select {
	case why = <-o.ended: // soon: the library closes it at the end, and first says why
	case <-ctx.Done():
	}
	switch {
	case why == nil:
		return penstock.Errorf(penstock.Unavailable, "the connection to the broker %s broke", o.server.Address)
	case why.Code == amqp091.PreconditionFailed:
		return penstock.Errorf(penstock.TooLarge, "the broker %s refused a message: %w: set max_message to what it takes", o.server.Address, why)
	}
	return penstock.Errorf(penstock.Unavailable, "the broker %s ended the channel to %s: %w", o.server.Address, o.place(), why)
}
