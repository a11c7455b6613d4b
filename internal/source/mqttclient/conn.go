package mqttclient

import (
	"bufio"
	"net"

	"github.com/penstock/penstock"
)

// conn reads ahead, and ends a connection whose next packet is too large, before
// anybody makes room for it.
type conn struct {
	net.Conn
	ahead *bufio.Reader
	limit int
	left  int // bytes of the packet that is being read
}

// readAhead is what is read from the network at once.
const readAhead = 32 << 10

func newConn(c net.Conn, limit int) *conn {
	return &conn{Conn: c, ahead: bufio.NewReaderSize(c, readAhead), limit: limit}
}

// Read implements [net.Conn].
func (c *conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if c.left == 0 {
		size, err := c.nextPacket()
		if err != nil {
			return 0, err
		}
		if size > c.limit {
			return 0, penstock.Errorf(penstock.TooLarge, "the broker sends a packet of %d bytes, above max_packet (%d)", size, c.limit)
		}
		c.left = size
	}
	n, err := c.ahead.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

// nextPacket returns the size of the next packet with its header: a byte, and a
// length of one to four bytes with seven bits each.
func (c *conn) nextPacket() (int, error) {
	size := 0
	for i := 1; i <= 4; i++ {
		header, err := c.ahead.Peek(i + 1)
		if err != nil {
			return 0, err
		}
		size |= int(header[i]&0x7f) << (7 * (i - 1))
		if header[i] < 0x80 {
			return 1 + i + size, nil
		}
	}
	return 0, penstock.Errorf(penstock.Invalid, "what the broker sends is not MQTT: a length has more than four bytes")
}
