package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/penstock/penstock/bench/process"
)

// An mqttConnection speaks just enough MQTT 3.1.1 to publish with QoS 1.
type mqttConnection struct {
	net net.Conn
	in  *bufio.Reader
	out []byte
	id  uint16
}

// The first bytes of the packets.
const (
	mqttConnect = 0x10
	mqttConnack = 0x20
	mqttPublish = 0x32 // QoS 1
	mqttPuback  = 0x40
)

// mqttTopic is where the reports go: the name in it is not looked at by a broker
// that the credential lets speak for all controllers.
const mqttTopic = "reports/bench"

func dialMQTT(server *process.Process) (sender, error) {
	address, err := server.Listens("listen.mqtt")
	if err != nil {
		return nil, err
	}
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	c := &mqttConnection{net: conn, in: bufio.NewReaderSize(conn, 512)}
	if err := c.connect(server.Endpoint.Token); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *mqttConnection) close() { _ = c.net.Close() } // nothing waits to be sent

func (c *mqttConnection) connect(token string) error {
	// A clean session, a user name and a password, no keep alive, no identifier.
	body := append(mqttText(nil, "MQTT"), 4, 0xc2, 0, 0)
	body = mqttText(mqttText(mqttText(body, ""), "bench"), token)
	if _, err := c.net.Write(append(mqttHead(nil, mqttConnect, len(body)), body...)); err != nil {
		return err
	}
	var answer [4]byte
	if err := c.read(answer[:]); err != nil {
		return err
	}
	if answer[0] != mqttConnack || answer[3] != 0 {
		return fmt.Errorf("the broker answered CONNECT with % x", answer)
	}
	return nil
}

func (c *mqttConnection) send(content []byte) error {
	c.id = max(c.id+1, 1)
	c.out = mqttText(mqttHead(c.out[:0], mqttPublish, 2+len(mqttTopic)+2+len(content)), mqttTopic)
	c.out = append(binary.BigEndian.AppendUint16(c.out, c.id), content...)
	if _, err := c.net.Write(c.out); err != nil {
		return err
	}
	var answer [4]byte
	if err := c.read(answer[:]); err != nil {
		return err
	}
	if answer[0] != mqttPuback || binary.BigEndian.Uint16(answer[2:]) != c.id {
		return errors.New("the broker did not acknowledge what was published")
	}
	return nil
}

func (c *mqttConnection) read(answer []byte) error {
	if err := c.net.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	_, err := io.ReadFull(c.in, answer)
	return err
}

func mqttText(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}

// mqttHead appends the type and the length of a packet.
func mqttHead(dst []byte, first byte, length int) []byte {
	dst = append(dst, first)
	for ; length >= 0x80; length >>= 7 {
		dst = append(dst, byte(length)|0x80)
	}
	return append(dst, byte(length))
}
