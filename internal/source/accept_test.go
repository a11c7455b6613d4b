package source_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/source"
)

// script is a listener that answers as it is told.
type script struct {
	net.Listener
	answers []error // nil for a connection
	asked   int
}

func (s *script) Accept() (net.Conn, error) {
	err := s.answers[s.asked]
	s.asked++
	if err != nil {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
	}
	a, b := net.Pipe()
	b.Close()
	return a, nil
}

func (*script) Addr() net.Addr { return &net.TCPAddr{} }

func TestAcceptWaitsOutWhatPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		l := &script{answers: []error{syscall.EMFILE, syscall.ECONNABORTED, nil}}
		begun := time.Now()
		c, err := source.Accept(t.Context(), l, log)
		if err != nil || l.asked != 3 || time.Since(begun) < 100*time.Millisecond {
			t.Fatalf("%v after %d attempts and %v", err, l.asked, time.Since(begun))
		}
		c.Close()
		if _, err := source.Accept(t.Context(), &script{answers: []error{net.ErrClosed}}, log); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a closed listener: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := source.Accept(ctx, &script{answers: []error{syscall.EMFILE}}, log); !errors.Is(err, context.Canceled) {
			t.Errorf("stopped meanwhile: %v", err)
		}
	})
}
