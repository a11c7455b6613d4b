package mqttbroker

import (
	"context"
	"time"

	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
)

// read takes the client's packets until the connection ends. What one piece of
// the stream brought in publishes is submitted at once.
func (c *conn) read(ctx context.Context) error {
	for {
		if !c.in.Ready() {
			if err := c.inbound.submit(ctx); err != nil {
				return err
			}
			if err := c.await(); err != nil {
				return err
			}
		}
		f, err := c.in.Next()
		if err == nil {
			err = c.handle(ctx, &f)
		}
		if broken, ok := err.(*wire.Error); ok {
			c.bad(&f, broken.Text)
		}
		if err != nil {
			return err
		}
	}
}

// await blocks until a packet begins, as long as the keep alive allows, and gives
// the rest of it a time of its own.
func (c *conn) await() error {
	var silence time.Time // no deadline
	if k := c.connect.KeepAlive; k > 0 {
		silence = time.Now().Add(time.Duration(k) * time.Second * 3 / 2)
	}
	if err := c.raw.SetReadDeadline(silence); err != nil {
		return err
	}
	if err := c.in.Wait(); err != nil || c.in.Ready() {
		return err
	}
	return c.raw.SetReadDeadline(time.Now().Add(packetPatience))
}

// handle does what one packet asks for. Everything but a publish has to wait for
// the publishes before it to be submitted.
func (c *conn) handle(ctx context.Context, f *wire.Frame) error {
	if f.Type == wire.PUBLISH {
		return c.inbound.publish(ctx, f)
	}
	if err := c.inbound.submit(ctx); err != nil {
		return err
	}
	switch f.Type {
	case wire.PUBACK, wire.PUBREC, wire.PUBREL, wire.PUBCOMP:
		a, err := wire.DecodeAck(f.Type, f.Body, c.version)
		if err != nil {
			return err
		}
		return c.acknowledged(a)
	case wire.SUBSCRIBE:
		return c.subscribe(f)
	case wire.UNSUBSCRIBE:
		return c.unsubscribe(f)
	case wire.PINGREQ:
		if len(f.Body) > 0 {
			return &wire.Error{Code: wire.Malformed, Text: "a PINGREQ packet has a body"}
		}
		return c.write(wire.AppendEmpty(nil, wire.PINGRESP))
	case wire.DISCONNECT:
		return c.goodbye(f)
	}
	return &wire.Error{Code: wire.ProtocolError, Text: "a client must not send a second CONNECT, nor what only a server sends: " + f.Type.String()}
}

// acknowledged moves a QoS flow on, in either direction.
func (c *conn) acknowledged(a wire.Ack) error {
	var answer wire.Ack
	switch a.Type {
	case wire.PUBREL: // of a publish that the client sent
		answer = wire.Ack{Type: wire.PUBCOMP, ID: a.ID}
		if !c.session.release(a.ID) {
			answer.Code = wire.PacketIDNotFound
		}
	case wire.PUBREC:
		known := c.session.subscriber.Received(a)
		if a.Code.Failed() {
			return nil
		}
		answer = wire.Ack{Type: wire.PUBREL, ID: a.ID}
		if !known {
			answer.Code = wire.PacketIDNotFound
		}
	default:
		c.session.subscriber.Settled(a.ID)
		return nil
	}
	return c.write(wire.AppendAck(nil, c.version, answer))
}

// goodbye ends the connection as the client wishes.
func (c *conn) goodbye(f *wire.Frame) error {
	d, err := wire.DecodeDisconnect(f.Body, c.version)
	if err != nil {
		return err
	}
	if d.Properties.Has(wire.SessionExpiry) {
		want := d.Properties.Number(wire.SessionExpiry)
		if c.connect.Properties.Number(wire.SessionExpiry) == 0 && want > 0 {
			return &wire.Error{Code: wire.ProtocolError, Text: "DISCONNECT asks for a session that is kept, which CONNECT did not"}
		}
		c.session.keep(min(c.config.SessionExpiry.Std(), time.Duration(want)*time.Second))
	}
	if d.Code != wire.DisconnectWithWill {
		c.session.forgetWill()
	}
	return &ending{wire.Success, "the client said goodbye", evidence.Lost}
}
