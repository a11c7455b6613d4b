// Package socket binds the sockets that a process manager keeps open for its
// programs, whatever becomes of these.
package socket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock"
)

// Spec says what is listened on. It is written [NAME=][tcp:|udp:|unix:]ADDRESS.
type Spec struct {
	Name    string // of the socket for the program; may be empty
	Network string // tcp, udp or unix
	Address string // host:port, or a path
}

// maxName is the longest name of a socket (sd_listen_fds_with_names(3)).
const maxName = 255

// Parse reads a spec. An error has code [penstock.Invalid].
func Parse(text string) (Spec, error) {
	refuse := func(format string, args ...any) (Spec, error) {
		return Spec{}, penstock.Errorf(penstock.Invalid, "%q is no socket: "+format, append([]any{text}, args...)...)
	}
	s := Spec{Network: "tcp", Address: text}
	if name, rest, ok := strings.Cut(text, "="); ok {
		s.Name, s.Address = name, rest
		if name == "" || len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
			return refuse("a name has 1 to %d printable characters without ':'", maxName)
		}
	}
	for _, network := range []string{"tcp", "udp", "unix"} {
		if rest, ok := strings.CutPrefix(s.Address, network+":"); ok {
			s.Network, s.Address = network, rest
		}
	}
	if s.Network == "unix" {
		if !strings.HasPrefix(s.Address, "/") {
			return refuse("unix: needs a path that begins with /")
		}
		return s, nil
	}
	if _, _, err := net.SplitHostPort(s.Address); err != nil {
		return refuse("write host:port, :port, udp:host:port or unix:/path")
	}
	return s, nil
}

// String writes the spec so that [Parse] reads it.
func (s Spec) String() string {
	text := s.Network + ":" + s.Address
	if s.Name != "" {
		text = s.Name + "=" + text
	}
	return text
}

// Socket is a bound socket.
type Socket struct {
	Spec
	Bound string // the address that it really has
	fd    int
}

// Bind binds the socket. The error says who else may have the address.
func (s Spec) Bind(ctx context.Context) (*Socket, error) {
	raw, bound, err := s.listen(ctx)
	if err != nil {
		return nil, err
	}
	defer raw.Close() // the duplicate below keeps the socket, outside of the runtime's poller
	conn, err := raw.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", s, err)
	}
	kept := &Socket{Spec: s, Bound: bound}
	var failed error
	err = conn.Control(func(fd uintptr) {
		kept.fd, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("keep the socket %s: %w", s, err)
	}
	return kept, nil
}

type closer interface {
	syscall.Conn
	Close() error
}

func (s Spec) listen(ctx context.Context) (_ closer, bound string, err error) {
	var c net.ListenConfig
	if s.Network == "udp" {
		p, err := c.ListenPacket(ctx, "udp", s.Address)
		if err != nil {
			return nil, "", s.refused(err)
		}
		return p.(*net.UDPConn), p.LocalAddr().String(), nil
	}
	if s.Network == "unix" {
		s.removeDead()
	}
	l, err := c.Listen(ctx, s.Network, s.Address)
	if err != nil {
		return nil, "", s.refused(err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
		return u, s.Address, nil
	}
	return l.(*net.TCPListener), l.Addr().String(), nil
}

func (s Spec) refused(err error) error {
	advice := ""
	if errors.Is(err, syscall.EADDRINUSE) {
		advice = "; another program has the address (ss -lnp shows it): stop it or choose another"
	}
	return penstock.Errorf(penstock.Unavailable, "listen on %s: %w%s", s, err, advice)
}

// removeDead removes a socket that nobody listens at.
func (s Spec) removeDead() {
	conn, err := net.Dial("unix", s.Address)
	if err == nil {
		conn.Close()
		return
	}
	if info, stat := os.Lstat(s.Address); stat == nil && info.Mode()&os.ModeSocket != 0 && errors.Is(err, syscall.ECONNREFUSED) {
		os.Remove(s.Address) // when it fails, so does the bind after it, with the reason
	}
}

// Descriptor returns the number by which this process has the socket.
func (s *Socket) Descriptor() int { return s.fd }

// Close closes the socket: programs that have it keep it.
func (s *Socket) Close() error {
	if s.Network == "unix" {
		os.Remove(s.Address) // a socket that is left behind is removed by the next start
	}
	return unix.Close(s.fd)
}
