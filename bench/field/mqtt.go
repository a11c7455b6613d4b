package field

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sim"
)

// mqttWire speaks MQTT 3.1.1 as a plain client does: one publish of QoS 1 at a time,
// a report in JSON.
type mqttWire struct {
	net.Conn
	in    *bufio.Reader
	topic string
	out   []byte
	body  []byte
	id    uint16
	sent  atomic.Uint64 // seq of the publish under way, and below it its identifier
}

// The first bytes of the packets.
const (
	mqttConnect = 0x10
	mqttConnack = 0x20
	mqttPublish = 0x32 // QoS 1
	mqttPuback  = 0x40
	mqttHead    = 4 // bytes of CONNACK, and of PUBACK
)

// openMQTT connects, and returns when the broker agreed.
func openMQTT(ctx context.Context, a *access, controller string) (wire, error) {
	conn, err := a.dial(ctx)
	if err != nil {
		return nil, err
	}
	const keepalive = 60 // seconds
	w := &mqttWire{Conn: conn, in: bufio.NewReaderSize(conn, 64), topic: "reports/" + controller}
	body := append(mqttText(nil, "MQTT"), 4, 0xc2, 0, keepalive) // a clean session, a user name and a password
	body = mqttText(mqttText(mqttText(body, controller), controller), a.token)
	if _, err = conn.Write(append(mqttHeader(nil, mqttConnect, len(body)), body...)); err == nil {
		var answer [mqttHead]byte
		if _, err = io.ReadFull(w.in, answer[:]); err == nil && (answer[0] != mqttConnack || answer[3] != 0) {
			err = fmt.Errorf("the broker answered CONNECT with % x", answer)
		}
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *mqttWire) send(r *penstock.Report) error {
	w.body = sim.AppendJSON(w.body[:0], r)
	w.id = max(w.id+1, 1)
	w.sent.Store(r.Identity.Seq<<16 | uint64(w.id))
	w.out = mqttText(mqttHeader(w.out[:0], mqttPublish, 2+len(w.topic)+2+len(w.body)), w.topic)
	w.out = append(binary.BigEndian.AppendUint16(w.out, w.id), w.body...)
	_, err := w.Write(w.out)
	return err
}

func (w *mqttWire) receive() (reply, error) {
	var answer [mqttHead]byte
	if _, err := io.ReadFull(w.in, answer[:]); err != nil {
		return reply{}, err
	}
	sent := w.sent.Load()
	if answer[0] != mqttPuback || binary.BigEndian.Uint16(answer[2:]) != uint16(sent) {
		return reply{}, fmt.Errorf("the broker sent % x where publish %d was to be acknowledged", answer, uint16(sent))
	}
	return reply{acked: sent >> 16}, nil
}

func (w *mqttWire) close() { _ = w.Close() } // nothing waits to be sent

func mqttText(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}

// mqttHeader appends the type and the length of a packet.
func mqttHeader(dst []byte, first byte, length int) []byte {
	dst = append(dst, first)
	for ; length >= 0x80; length >>= 7 {
		dst = append(dst, byte(length)|0x80)
	}
	return append(dst, byte(length))
}
