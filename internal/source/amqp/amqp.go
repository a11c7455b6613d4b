package amqp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/remote/amqpconn"
	"github.com/penstock/penstock/internal/source"
)

// closeTimeout is how long the broker may take for the end of a connection.
const closeTimeout = time.Second

// Source is the consumer of one queue.
type Source struct {
	settings
	env      source.Env
	port     *evidence.Page
	messages source.Messages
}

// New returns a source that is not connected yet. Errors have code
// [penstock.Invalid].
func New(c Config, env source.Env) (*Source, error) {
	s, err := newSettings(c)
	if err != nil {
		return nil, err
	}
	return &Source{
		settings: s, env: env, port: env.Evidence.Port(env.Name),
		messages: source.Messages{Env: env, Peer: s.server.Address, Controllers: s.Controllers},
	}, nil
}

// Run implements [penstock.Source]: one connection, until it breaks.
func (s *Source) Run(ctx context.Context, next penstock.Handler) error {
	var network *ahead
	broker := amqpconn.Broker{
		Name: s.env.Name, Server: s.server, TLS: s.TLS, VirtualHost: s.vhost,
		User: s.User, Password: s.Password, Heartbeat: s.heartbeat,
	}
	conn, err := broker.Open(ctx, func(c net.Conn) net.Conn {
		network = newAhead(c)
		return network
	})
	if err != nil {
		return err
	}
	var work sync.WaitGroup
	blocked := conn.NotifyBlocked(make(chan amqp091.Blocking, 1))
	work.Go(func() { // the library waits until it is read; it concerns publishers alone
		for b := range blocked {
			s.env.Log.Debug("the broker holds publishers back", "active", b.Active, "reason", b.Reason)
		}
	})
	running, cancel := context.WithCancel(ctx)
	err = s.work(running, session{conn, network}, next, &work)
	cancel()
	_ = conn.CloseDeadline(time.Now().Add(closeTimeout))
	work.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// session is a connection to the broker.
type session struct {
	*amqp091.Connection
	network *ahead
}

// work consumes until ctx ends or something fails. What it leaves running ends
// with ctx and the connection.
func (s *Source) work(ctx context.Context, conn session, next penstock.Handler, work *sync.WaitGroup) error {
	closed := conn.NotifyClose(make(chan *amqp091.Error, 1))
	channel, deliveries, err := s.consume(conn.Connection)
	if err != nil {
		return err
	}
	ended := channel.NotifyClose(make(chan *amqp091.Error, 1))
	cancelled := channel.NotifyCancel(make(chan string, 1))
	s.port.Count(evidence.Connected)
	defer s.port.Count(evidence.Lost)
	s.port.Peer(s.server.Address)
	s.env.Status.OK()

	window := source.NewWindow[amqp091.Delivery](next, s.env.Status, s.Prefetch)
	failed := make(chan error, 1)
	work.Go(func() { failed <- window.Run(ctx, &settler{Source: s, channel: channel}) })
	work.Go(func() { s.take(ctx, window, deliveries, conn.network) })
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	case e := <-closed:
		return s.broke("the connection", e)
	case e := <-ended:
		return s.broke("the channel", e)
	case <-cancelled:
		return penstock.Errorf(penstock.Unavailable, "the broker ended the consumption of queue %s: it was deleted, or moved", s.Queue)
	}
}

// consume begins the consumption of the queue.
func (s *Source) consume(conn *amqp091.Connection) (*amqp091.Channel, <-chan amqp091.Delivery, error) {
	refuse := func(what string, err error) (*amqp091.Channel, <-chan amqp091.Delivery, error) {
		return nil, nil, penstock.Errorf(penstock.Unavailable, "%s of queue %s: %w", what, s.Queue, err)
	}
	channel, err := conn.Channel()
	if err != nil {
		return refuse("the channel", err)
	}
	if s.Declare {
		if err := s.declare(channel); err != nil {
			return refuse("the declaration", err)
		}
	}
	if err := channel.Qos(s.Prefetch, 0, false); err != nil {
		return refuse("the prefetch", err)
	}
	deliveries, err := channel.Consume(s.Queue, "penstock-"+s.env.Name, false, false, false, false, nil)
	if err != nil {
		return refuse("the consumption", err)
	}
	return channel, deliveries, nil
}

// declare makes the queue and its bindings.
func (s *Source) declare(channel *amqp091.Channel) error {
	arguments := amqp091.Table{"x-queue-type": "quorum"}
	if s.DeadLetter != "" {
		arguments["x-dead-letter-exchange"] = s.DeadLetter
	}
	if _, err := channel.QueueDeclare(s.Queue, true, false, false, false, arguments); err != nil {
		return err
	}
	for _, key := range s.Bind {
		if err := channel.QueueBind(s.Queue, key, s.Exchange, false, nil); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) broke(what string, e *amqp091.Error) error {
	if e == nil {
		return penstock.Errorf(penstock.Unavailable, "%s to the broker %s was closed", what, s.server.Address)
	}
	return penstock.Errorf(penstock.Unavailable, "%s to the broker %s broke: %w", what, s.server.Address, e)
}

// take submits what is delivered, until the deliveries or ctx end.
func (s *Source) take(ctx context.Context, window *source.Window[amqp091.Delivery], deliveries <-chan amqp091.Delivery, network *ahead) {
	for {
		select {
		case d, open := <-deliveries:
			if !open {
				return
			}
			size := len(d.Body)
			network.taken(size)
			if size > s.maxMessage { // its memory is free at once, though its turn to be refused comes later
				d.Body = bytes.Clone(d.Body[:evidence.MaxFrame])
			}
			slot, err := window.Take(ctx, d)
			if err != nil {
				return // the connection ends, and the broker delivers it again
			}
			s.port.Count(evidence.Received)
			slot.Submit(ctx, s.envelopes(d, size))
		case <-ctx.Done():
			return
		}
	}
}

// envelopes returns what becomes of a message that had so many bytes.
func (s *Source) envelopes(d amqp091.Delivery, size int) []penstock.Envelope {
	message := source.Message{Topic: d.RoutingKey, Payload: d.Body, Properties: propertiesOf(d.Headers)}
	if size > s.maxMessage {
		return s.messages.TooLarge(message, size, s.maxMessage, "max_message")
	}
	if s.MessageID {
		message.Key = d.MessageId
	}
	m, found := s.router.Match(d.RoutingKey)
	return s.messages.Envelopes(m, found, message)
}

// propertiesOf returns the headers that are a text, a number or a bool.
func propertiesOf(headers amqp091.Table) penstock.Properties {
	if len(headers) == 0 {
		return nil
	}
	properties := make(penstock.Properties, len(headers))
	for name, value := range headers {
		switch value.(type) {
		case string, bool, byte, int8, int, int16, int32, int64, float32, float64:
			properties[name] = fmt.Sprint(value)
		}
	}
	return properties
}

// settler acknowledges what is settled, several messages at once.
type settler struct {
	*Source
	channel *amqp091.Channel
	through uint64 // to be acknowledged, with everything before; 0 for nothing
}

// Settle implements [source.Settler].
func (s *settler) Settle(d amqp091.Delivery, outcomes []penstock.Outcome) error {
	impossible := len(outcomes) == 0
	refused := s.messages.Settled(d.RoutingKey, d.Body, outcomes)
	if s.DeadLetter == "" || !refused && !impossible {
		s.through = d.DeliveryTag
		return nil
	}
	if err := s.Flush(); err != nil {
		return err
	}
	return onTheWay(s.channel.Nack(d.DeliveryTag, false, false))
}

// Flush implements [source.Settler].
func (s *settler) Flush() error {
	if s.through == 0 {
		return nil
	}
	through := s.through
	s.through = 0
	return onTheWay(s.channel.Ack(through, true))
}

// onTheWay drops the error of a channel that is closed: that ends for its own
// reason, and the broker delivers again what was not acknowledged.
func onTheWay(err error) error {
	if err == nil || errors.Is(err, amqp091.ErrClosed) {
		return nil
	}
	return penstock.Errorf(penstock.Unavailable, "acknowledge a message: %w", err)
}
