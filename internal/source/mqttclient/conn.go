package mqttclient

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"

	"github.com/penstock/penstock"
)

// conn reads ahead, and ends a connection whose next packet is too large, before
// anybody makes room for it.
type conn struct {
	net.Conn
	ahead *bufio.Reader
	limit int
	left  int         // bytes of the packet that is being read
	begun bool        // a packet came
	older atomic.Bool // CONNECT was answered as brokers do that do not know MQTT 5
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
			c.first(err)
			return 0, err
		}
		if size > c.limit {
			return 0, penstock.Errorf(penstock.TooLarge, "the broker sends a packet of %d bytes, above max_packet (%d)", size, c.limit)
		}
		c.left = size
		c.first(nil)
	}
	n, err := c.ahead.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

// first looks at the answer to CONNECT. A broker that knows nothing of MQTT 5 says so in
// the words of 3.1.1, which no library of MQTT 5 can read, or closes the connection
// without a word.
func (c *conn) first(err error) {
	if c.begun {
		return
	}
	if err != nil {
		c.older.Store(errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET))
		return
	}
	c.begun = true
	const protocol = 1 // the return code
	b, err := c.ahead.Peek(min(c.left, 4))
	c.older.Store(err == nil && bytes.Equal(b, []byte{kindConnack << 4, 2, 0, protocol}))
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
	return 0, errLength()
}
