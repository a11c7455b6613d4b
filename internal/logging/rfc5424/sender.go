package rfc5424

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// Sender sends messages to a target, and connects when there is no connection. It
// implements channel.Sender.
type Sender struct {
	target Target
	tls    func() (*tls.Config, error) // asked for every connection
	conn   net.Conn                    // nil while there is none
	raw    net.Conn                    // what conn stands on
	failed error                       // why the last try failed; nil after a good one
}

// NewSender returns a sender. The function returns the configuration of TLS, at
// every connection; it may be nil for other networks.
func NewSender(t Target, config func() (*tls.Config, error)) *Sender {
	return &Sender{target: t, tls: config}
}

// Send implements channel.Sender.
func (s *Sender) Send(ctx context.Context, message []byte) error {
	err := s.connect(ctx)
	if err == nil {
		err = s.alive()
	}
	if err == nil {
		err = s.write(message)
	}
	if err == nil && s.failed != nil && s.target.Network == "udp" {
		err = s.listen(refusal)
	}
	if err != nil && !errors.Is(err, syscall.EMSGSIZE) {
		return s.fail(err)
	}
	s.failed = nil
	return nil // a datagram that no network takes would be in the way of all others
}

func (s *Sender) write(message []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	_, err := s.conn.Write(message)
	return err
}

// Probe implements channel.Sender. It learns that the other side closed the
// connection, or, over UDP, that nobody listens there.
func (s *Sender) Probe(ctx context.Context) error {
	if err := s.connect(ctx); err != nil {
		return s.fail(err)
	}
	switch {
	case s.target.Network == "udp" && s.failed != nil:
		return s.failed // only a message that is sent tells whether somebody listens now
	case s.conn.RemoteAddr().Network() == "unixgram":
		s.failed = nil // a datagram that is sent tells at once
		return nil
	}
	if err := s.listen(glance); err != nil {
		return s.fail(err)
	}
	s.failed = nil
	return nil
}

// How long the sender listens for a word of the other side.
const (
	glance  = time.Millisecond       // when a word would be there already
	refusal = 100 * time.Millisecond // when it answers what was just sent
)

// listen learns whether the other side closed the connection or, over UDP, does not
// listen. It says nothing else that matters.
func (s *Sender) listen(wait time.Duration) error {
	if err := s.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	var unasked [256]byte
	_, err := s.conn.Read(unasked[:])
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return closed(err)
	}
	return nil
}

// alive finds a connection that the other side has closed, before a message is
// written into it and lost.
func (s *Sender) alive() error {
	if s.target.Network != "tcp" && s.target.Network != "tls" {
		return nil
	}
	socket, ok := s.raw.(syscall.Conn)
	if !ok {
		return nil
	}
	control, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var n int
	var peek error
	err = control.Control(func(fd uintptr) {
		n, _, peek = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	switch {
	case err != nil:
		return err
	case errors.Is(peek, syscall.EAGAIN), errors.Is(peek, syscall.EINTR):
		return nil
	case peek != nil:
		return peek
	case n == 0:
		return closed(io.EOF)
	}
	return nil
}

func closed(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the receiver closed the connection")
	}
	return err
}

// connect makes a connection where there is none.
func (s *Sender) connect(ctx context.Context) error {
	if s.conn != nil {
		return nil
	}
	d := net.Dialer{Timeout: sendTimeout}
	var err error
	switch s.target.Network {
	case "tls":
		err = s.connectTLS(ctx, &d)
	case "unix":
		s.conn, err = d.DialContext(ctx, "unixgram", s.target.Address)
		if errors.Is(err, syscall.EPROTOTYPE) {
			s.conn, err = d.DialContext(ctx, "unix", s.target.Address)
		}
	default:
		s.conn, err = d.DialContext(ctx, s.target.Network, s.target.Address)
		s.raw = s.conn
	}
	if err != nil {
		s.conn = nil // not an interface around nothing
	}
	return err
}

func (s *Sender) connectTLS(ctx context.Context, d *net.Dialer) error {
	config, err := s.tls()
	if err != nil {
		return err
	}
	config = config.Clone()
	config.MinVersion = tls.VersionTLS13
	if config.ServerName == "" {
		if config.ServerName, _, err = net.SplitHostPort(s.target.Address); err != nil {
			return err
		}
	}
	raw, err := d.DialContext(ctx, "tcp", s.target.Address)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return fmt.Errorf("TLS with %s: %w", s.target.Address, err)
	}
	s.conn, s.raw = conn, raw
	return nil
}

// fail gives up the connection.
func (s *Sender) fail(err error) error {
	s.hangUp()
	s.failed = fmt.Errorf("%s://%s: %w", s.target.Network, s.target.Address, err)
	return s.failed
}

func (s *Sender) hangUp() {
	if s.conn != nil {
		_ = s.conn.Close() // a new one is made, or none is needed
		s.conn, s.raw = nil, nil
	}
}

// Close implements channel.Sender.
func (s *Sender) Close() error {
	s.hangUp()
	return nil
}
