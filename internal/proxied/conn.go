package proxied

import (
	"errors"
	"net"
	"syscall"
)

// conn is a connection through a balancer.
type conn struct {
	net.Conn
	client net.Addr
	first  [1]byte
	held   bool // first was read and not given
}

// RemoteAddr returns the address of the client.
func (c *conn) RemoteAddr() net.Addr { return c.client }

// Read implements [net.Conn].
func (c *conn) Read(p []byte) (int, error) {
	if c.held && len(p) > 0 {
		c.held = false
		return copy(p, c.first[:]), nil
	}
	return c.Conn.Read(p)
}

// SyscallConn implements [syscall.Conn], for the options of the socket.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	under, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return under.SyscallConn()
}

// SetLinger is [net.TCPConn.SetLinger].
func (c *conn) SetLinger(seconds int) error {
	under, ok := c.Conn.(interface{ SetLinger(int) error })
	if !ok {
		return errors.ErrUnsupported
	}
	return under.SetLinger(seconds)
}
