package main

import (
	"fmt"
	"net"
	"time"

	"github.com/penstock/penstock/bench/mqtt"
	"github.com/penstock/penstock/bench/process"
)

// An mqttConnection has one message under way.
type mqttConnection struct {
	*mqtt.Conn
	sent uint64 // messages
}

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
	session, err := mqtt.Connect(conn, mqtt.Login{User: "bench", Password: server.Endpoint.Token})
	if err != nil {
		_ = conn.Close() // nothing waits to be sent
		return nil, err
	}
	return &mqttConnection{Conn: session}, nil
}

func (c *mqttConnection) close() { _ = c.Close() } // nothing waits to be sent

func (c *mqttConnection) send(content []byte) error {
	c.sent++
	id := mqtt.ID(c.sent)
	if err := c.Publish(id, mqttTopic, content); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	acknowledged, err := c.Acknowledged()
	if err == nil && acknowledged != id {
		err = fmt.Errorf("the broker acknowledged message %d where %d was under way", acknowledged, id)
	}
	return err
}
