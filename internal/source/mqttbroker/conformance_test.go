package mqttbroker_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/mqttbroker"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
	"github.com/penstock/penstock/internal/source/sourcetest"
)

func TestConformance(t *testing.T) {
	for name, version := range map[string]byte{"3.1.1": wire.V311, "5": wire.V5} {
		for _, qos := range []byte{1, 2} {
			t.Run(name+" QoS "+string('0'+rune(qos)), func(t *testing.T) {
				sourcetest.Run(t, func(t *testing.T) sourcetest.Subject { return subject(version, qos) })
			})
		}
	}
}

// plain returns the settings of a broker without TLS.
func plain() mqttbroker.Config {
	c := mqttbroker.Default()
	c.TLS = mqttbroker.TLSOff
	return c
}

func subject(version, qos byte) sourcetest.Subject {
	where := &addresses{}
	return sourcetest.Subject{
		New: func(t *testing.T, env source.Env) penstock.Source {
			env.Bound = where.bound
			b, err := mqttbroker.New(config.Address(where.get()), plain(), env)
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
		Peer: func(t *testing.T) sourcetest.Peer {
			return &sender{connect(t, where.get(), wire.Connect{Version: version, CleanStart: true}), qos}
		},
		Garble: func(t *testing.T) {
			p := connect(t, where.get(), wire.Connect{Version: version, CleanStart: true})
			p.send([]byte{0x36, 5, 0, 1, 'a', 0, 1}) // QoS 3
			p.closed()
		},
		Mute: version == wire.V311,
	}
}

// sender is a controller that publishes report after report.
type sender struct {
	*peer
	qos byte
}

func (s *sender) Send(ctx context.Context, r *penstock.Report) error {
	body, err := reportjson.AppendReport(nil, r)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { s.conn.Close() })()
	s.last++
	packet := wire.Publish{ID: s.last, Message: wire.Message{Topic: "reports/" + r.Controller, QoS: s.qos, Payload: body}}
	if _, err := s.conn.Write(wire.AppendPublish(nil, s.version, &packet)); err != nil {
		return err
	}
	f, err := s.in.Next()
	if err != nil {
		return err
	}
	want := wire.PUBACK
	if s.qos == 2 {
		want = wire.PUBREC
	}
	if f.Type != want {
		return errors.New("the answer is " + f.Type.String())
	}
	a, err := wire.DecodeAck(f.Type, f.Body, s.version)
	switch {
	case err != nil:
		return err
	case a.ID != s.last:
		return errors.New("another publish was acknowledged")
	case a.Code.Failed():
		return sourcetest.ErrRefused
	case s.qos == 1:
		return nil
	}
	if _, err := s.conn.Write(wire.AppendAck(nil, s.version, wire.Ack{Type: wire.PUBREL, ID: s.last})); err != nil {
		return err
	}
	if f, err = s.in.Next(); err == nil && f.Type != wire.PUBCOMP {
		err = errors.New("PUBREL was not completed")
	}
	return err
}

func (s *sender) Close() error {
	if err := s.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
