package wire_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/modbus/wire"
)

// recorded is a connection on which everything has come already, in pieces. After
// it nothing comes.
type recorded struct {
	pieces [][]byte
	sent   bool
}

func (r *recorded) Read(b []byte) (int, error) {
	if !r.sent || len(r.pieces) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(b, r.pieces[0])
	if r.pieces[0] = r.pieces[0][n:]; len(r.pieces[0]) == 0 {
		r.pieces = r.pieces[1:]
	}
	return n, nil
}

func (r *recorded) Write(b []byte) (int, error)      { r.sent = true; return len(b), nil }
func (r *recorded) Close() error                     { return nil }
func (r *recorded) SetReadDeadline(time.Time) error  { return nil }
func (r *recorded) SetWriteDeadline(time.Time) error { return nil }

var _ io.ReadWriteCloser = (*recorded)(nil)

func FuzzAnswer(f *testing.F) {
	f.Add(false, []byte{7, 3, 4, 0, 1, 0, 10, 0x9d, 0x34}, uint8(3))
	f.Add(true, []byte{0, 1, 0, 0, 0, 7, 7, 3, 4, 0, 1, 0, 10}, uint8(9))
	f.Add(true, []byte{0, 1, 0, 0, 0, 3, 7, 0x83, 2}, uint8(200))
	f.Fuzz(func(t *testing.T, tcp bool, stream []byte, piece uint8) {
		if len(stream) > 1024 {
			return // no deadline ends this connection: it would only take long
		}
		conn := &recorded{}
		for rest := stream; len(rest) > 0; {
			n := min(len(rest), int(piece)+1)
			conn.pieces, rest = append(conn.pieces, rest[:n]), rest[n:]
		}
		bus := wire.NewRTU(conn, wire.Options{Seen: func(_ int, _ evidence.Event, frame []byte, why string) {
			if len(frame) > 0 && why == "" {
				t.Error("bytes are blamed without a reason")
			}
		}})
		if tcp {
			bus = wire.NewTCP(conn, wire.Options{})
		}
		q := wire.Request{Unit: 7, Function: wire.ReadHolding, Address: 16, Count: 2}
		data, err := bus.Ask(q, time.Millisecond)
		var exception *wire.Exception
		if err == nil || errors.As(err, &exception) {
			body := data
			if exception != nil {
				body = []byte{7, 0x83, byte(exception.Code)}
			}
			if !bytes.Contains(stream, body) || err == nil && len(data) != 4 {
				t.Errorf("% x is in no part of % x", body, stream)
			}
		}
	})
}
