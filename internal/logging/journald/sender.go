package journald

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Sender sends entries to the journal. It implements channel.Sender.
type Sender struct {
	path string
	conn *net.UnixConn // nil while there is none
}

// NewSender returns a sender to the journal at the socket.
func NewSender(socket string) *Sender { return &Sender{path: socket} }

const sendTimeout = 5 * time.Second

// Send implements channel.Sender.
func (s *Sender) Send(ctx context.Context, entry []byte) error {
	err := s.connect(ctx)
	if err == nil {
		err = s.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	}
	if err == nil {
		_, err = s.conn.Write(entry)
		if errors.Is(err, syscall.EMSGSIZE) || errors.Is(err, syscall.ENOBUFS) {
			err = s.sendFile(entry)
		}
	}
	return s.noted(err)
}

// Probe implements channel.Sender.
func (s *Sender) Probe(ctx context.Context) error {
	if s.conn != nil {
		// A journal that was started anew has another socket at the same path.
		s.hangUp()
	}
	return s.noted(s.connect(ctx))
}

func (s *Sender) connect(ctx context.Context) error {
	if s.conn != nil {
		return nil
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unixgram", s.path)
	if err != nil {
		return err
	}
	s.conn = conn.(*net.UnixConn)
	return nil
}

// sendFile hands over an entry that is too long for a datagram: a file in memory
// that nobody can change any more.
func (s *Sender) sendFile(entry []byte) error {
	fd, err := unix.MemfdCreate("penstock-journal", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return fmt.Errorf("a file in memory: %w", err)
	}
	file := os.NewFile(uintptr(fd), "penstock-journal")
	defer file.Close()
	if _, err := file.Write(entry); err != nil {
		return err
	}
	seals := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("seal a file in memory: %w", err)
	}
	socket, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	rights := unix.UnixRights(int(file.Fd()))
	var sent error
	err = socket.Write(func(fd uintptr) bool {
		sent = unix.Sendmsg(int(fd), nil, rights, nil, unix.MSG_NOSIGNAL)
		return !errors.Is(sent, unix.EAGAIN)
	})
	return errors.Join(err, sent)
}

func (s *Sender) noted(err error) error {
	if err == nil {
		return nil
	}
	s.hangUp()
	return fmt.Errorf("the journal at %s: %w", s.path, err)
}

func (s *Sender) hangUp() {
	if s.conn != nil {
		_ = s.conn.Close() // a new one is made, or none is needed
		s.conn = nil
	}
}

// Close implements channel.Sender.
func (s *Sender) Close() error {
	s.hangUp()
	return nil
}
