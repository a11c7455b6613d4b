// Package mqtt speaks just enough MQTT 3.1.1 to publish with QoS 1, and costs little:
// a generator shares the processors with the gateway that it measures.
package mqtt

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
)

// The first bytes of the packets.
const (
	typeConnect = 0x10
	typeConnack = 0x20
	typePublish = 0x32 // QoS 1
	typePuback  = 0x40
)

// Login is what a client says of itself.
type Login struct {
	Client    string // identifier, empty for none
	User      string
	Password  string
	KeepAlive byte // seconds, 0 for none
}

// Conn is a connection to a broker. One goroutine may publish while another waits for
// what is acknowledged.
type Conn struct {
	net.Conn
	in  *bufio.Reader
	out []byte
}

// Connect begins a clean session on a connection, and returns when the broker agreed.
// After an error the connection is still the caller's to close.
func Connect(conn net.Conn, l Login) (*Conn, error) {
	c := &Conn{Conn: conn, in: bufio.NewReaderSize(conn, 64)}
	const userAndPassword, cleanSession = 0xc0, 0x02
	body := append(appendText(nil, "MQTT"), 4, userAndPassword|cleanSession, 0, l.KeepAlive)
	body = appendText(appendText(appendText(body, l.Client), l.User), l.Password)
	if _, err := conn.Write(append(appendHeader(nil, typeConnect, len(body)), body...)); err != nil {
		return nil, err
	}
	answer, err := c.read()
	if err == nil && (answer[0] != typeConnack || answer[3] != 0) {
		err = fmt.Errorf("the broker answered CONNECT with % x", answer)
	}
	return c, err
}

// ID returns the identifier of the n-th message: one that is never 0.
func ID(n uint64) uint16 { return uint16(n%math.MaxUint16) + 1 }

// Publish sends a message with an identifier, under which it is acknowledged.
func (c *Conn) Publish(id uint16, topic string, content []byte) error {
	c.out = appendText(appendHeader(c.out[:0], typePublish, 2+len(topic)+2+len(content)), topic)
	c.out = append(binary.BigEndian.AppendUint16(c.out, id), content...)
	_, err := c.Write(c.out)
	return err
}

// Acknowledged waits for a packet, and returns the identifier that it acknowledges.
func (c *Conn) Acknowledged() (id uint16, err error) {
	answer, err := c.read()
	if err == nil && answer[0] != typePuback {
		err = fmt.Errorf("the broker sent % x where a message was to be acknowledged", answer)
	}
	return binary.BigEndian.Uint16(answer[2:]), err
}

// read reads a packet: those that a publisher is sent all have four bytes.
func (c *Conn) read() (packet [4]byte, err error) {
	_, err = io.ReadFull(c.in, packet[:])
	return packet, err
}

func appendText(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}

// appendHeader appends the type and the length of a packet.
func appendHeader(dst []byte, first byte, length int) []byte {
	return binary.AppendUvarint(append(dst, first), uint64(length))
}
