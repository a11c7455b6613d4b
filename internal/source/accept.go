package source

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"syscall"
	"time"
)

// acceptPause is how long a listener rests when the machine has no room for
// another connection.
const acceptPause = 100 * time.Millisecond

// Accept returns the next connection of a listener. What passes by itself, too
// many open files for one, it waits out: those who are connected must not pay for
// those who are not. Its error is that of ctx, or that the listener is closed, or of no
// use.
func Accept(ctx context.Context, l net.Listener, log *slog.Logger) (net.Conn, error) {
	for {
		c, err := l.Accept()
		if err == nil && ctx.Err() != nil { // nobody would serve it
			c.Close()
			return nil, ctx.Err()
		}
		if err == nil || !passes(err) {
			return c, err
		}
		log.Warn("a connection could not be accepted", "address", l.Addr().String(), "error", err, "retry_in", acceptPause.String())
		if err := Pause(ctx, acceptPause); err != nil {
			return nil, err
		}
	}
}

// passes tells whether a listener can go on after the error.
func passes(err error) bool {
	for _, known := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EPROTO, syscall.EINTR, syscall.EPERM,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}
