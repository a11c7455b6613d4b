package field

import (
	"fmt"
	"net"
	"sync/atomic"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/bench/mqtt"
	"github.com/penstock/penstock/internal/sim"
)

// mqttWire speaks MQTT as a plain client does: one message of QoS 1 at a time, a
// report in JSON.
type mqttWire struct {
	*mqtt.Conn
	topic string
	body  []byte
	sent  atomic.Uint64 // seq of the report under way
}

func greetMQTT(conn net.Conn, a *access, controller string) (wire, error) {
	const keepalive = 60 // seconds
	session, err := mqtt.Connect(conn, mqtt.Login{Client: controller, User: controller, Password: a.token, KeepAlive: keepalive})
	return &mqttWire{Conn: session, topic: "reports/" + controller}, err
}

func (w *mqttWire) send(r *penstock.Report) error {
	w.body = sim.AppendJSON(w.body[:0], r)
	w.sent.Store(r.Identity.Seq)
	return w.Publish(mqtt.ID(r.Identity.Seq), w.topic, w.body)
}

func (w *mqttWire) receive() (reply, error) {
	id, err := w.Acknowledged()
	if err != nil {
		return reply{}, err
	}
	sent := w.sent.Load()
	if id != mqtt.ID(sent) {
		return reply{}, fmt.Errorf("the broker acknowledged message %d where %d was under way", id, mqtt.ID(sent))
	}
	return reply{acked: sent}, nil
}
