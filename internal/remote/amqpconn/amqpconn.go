// Package amqpconn opens connections to brokers of AMQP 0.9.1, for the source that
// consumes and the sink that publishes.
package amqpconn

import (
	"context"
	"net"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/remote"
	"github.com/penstock/penstock/internal/tlsfiles"
)

// answerTimeout is how long the broker may take for the opening of a connection.
const answerTimeout = 15 * time.Second

// DefaultHeartbeat is how often the broker is to give a sign of life when the
// configuration does not say it.
const DefaultHeartbeat = 10 * time.Second

// Broker is where connections go to, and as whom.
type Broker struct {
	Name        string // of the source or the sink, for the people at the broker
	Server      remote.Server
	TLS         tlsfiles.Client
	VirtualHost string
	User        string // with a client certificate and no user, EXTERNAL is used
	Password    config.Secret
	Heartbeat   time.Duration
}

// Parse reads the URL of a broker and returns its virtual host, / when it names
// none. Errors are those of [remote.Parse].
func Parse(url string, plain bool) (s remote.Server, virtualHost string, err error) {
	if s, err = remote.Parse(url, map[string]string{"amqp": "5672", "amqps": "5671"}, plain); err != nil {
		return remote.Server{}, "", err
	}
	if s.Path == "" {
		return s, "/", nil
	}
	return s, s.Path, nil
}

// Open connects and introduces the gateway. Over may put something around the
// network connection. Errors have code [penstock.Unavailable], or
// [penstock.Invalid] for a file of the TLS settings.
func (b *Broker) Open(ctx context.Context, over func(net.Conn) net.Conn) (*amqp091.Connection, error) {
	dialled, err := b.Server.Dial(ctx, b.TLS)
	if err != nil {
		return nil, err
	}
	network := over(dialled)
	if err := network.SetDeadline(time.Now().Add(answerTimeout)); err != nil { // the library takes it away again
		_ = network.Close()
		return nil, penstock.Errorf(penstock.Unavailable, "connect to %s: %w", b.Server.Address, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = network.Close() })
	defer stop()
	login := amqp091.Authentication(&amqp091.PlainAuth{Username: b.User, Password: b.Password.Reveal()})
	if b.User == "" && b.TLS.Cert != "" {
		login = &amqp091.ExternalAuth{}
	}
	conn, err := amqp091.Open(network, amqp091.Config{
		SASL: []amqp091.Authentication{login}, Vhost: b.VirtualHost, Heartbeat: b.Heartbeat, Locale: "en_US",
		Properties: amqp091.Table{"product": "Penstock", "connection_name": "penstock " + b.Name},
	})
	if err != nil {
		_ = network.Close()
		return nil, penstock.Errorf(penstock.Unavailable, "open the virtual host %s of the broker %s: %w", b.VirtualHost, b.Server.Address, err)
	}
	return conn, nil
}
