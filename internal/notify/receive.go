package notify

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock"
)

// Receiver is the socket of one program that is run.
type Receiver struct {
	conn *net.UnixConn
	path string
}

// Listen makes the socket at path, for its owner alone. An older one is replaced.
func Listen(path string) (*Receiver, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("make room for the socket of notifications: %w", err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, penstock.Errorf(penstock.Unavailable, "make the socket of notifications: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		conn.Close()
		return nil, fmt.Errorf("protect the socket of notifications: %w", err)
	}
	return &Receiver{conn: conn, path: path}, nil
}

// Path returns the value for NOTIFY_SOCKET.
func (r *Receiver) Path() string { return r.path }

// Receive waits for the next datagram. An error of code [penstock.Invalid] or
// [penstock.TooLarge] is about that datagram alone; any other is the end.
func (r *Receiver) Receive() (Message, error) {
	data, control := make([]byte, maxDatagram+1), make([]byte, 512)
	n, nc, _, _, err := r.conn.ReadMsgUnix(data, control)
	if err != nil {
		return Message{}, penstock.Errorf(penstock.Closed, "the socket of notifications ended: %w", err)
	}
	closeRights(control[:nc])
	return Parse(data[:n])
}

// closeRights closes descriptors that came along: a barrier waits for just that
// (sd_notify_barrier(3)), and to store them is not offered.
func closeRights(control []byte) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return // nothing that could be closed
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue // credentials, which nobody asked for
		}
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
}

// Close ends Receive and removes the socket.
func (r *Receiver) Close() error { return errors.Join(r.conn.Close(), os.Remove(r.path)) }
