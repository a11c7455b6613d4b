package modbustest

import (
	"encoding/binary"
	"io"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/source/modbus/wire"
)

// Handler says what the devices on a line do with a request.
type Handler func(q wire.Request) Answer

// Answer is what a device does with a request.
type Answer struct {
	Data    []byte // of a good answer, as on the wire
	Refusal wire.ExceptionCode
	Silent  bool
	After   time.Duration // how long the answer takes
	Raw     []byte        // sent as it is in place of an answer, in RTU framing
}

// Registers returns the answer of a device whose registers hold what value
// says. A bit is the lowest of its value.
func Registers(q wire.Request, value func(f wire.Function, address uint16) uint16) Answer {
	if q.Function.Bits() {
		data := make([]byte, (int(q.Count)+7)/8)
		for i := range int(q.Count) {
			data[i/8] |= byte(value(q.Function, q.Address+uint16(i))&1) << (i % 8)
		}
		return Answer{Data: data}
	}
	var data []byte
	for i := range int(q.Count) {
		data = binary.BigEndian.AppendUint16(data, value(q.Function, q.Address+uint16(i)))
	}
	return Answer{Data: data}
}

// ServeTCP answers in the framing of Modbus TCP until the connection ends.
func ServeTCP(conn io.ReadWriter, h Handler) {
	serve(conn, 12, func(frame []byte) {
		a := h(request(frame[6], frame[7:]))
		pdu, ok := a.pdu(frame[7:])
		if !ok {
			return
		}
		out := append([]byte{}, frame[:4]...)
		out = binary.BigEndian.AppendUint16(out, uint16(len(pdu)+1))
		conn.Write(append(append(out, frame[6]), pdu...))
	})
}

// ServeRTU answers in RTU framing until the connection ends.
func ServeRTU(conn io.ReadWriter, h Handler) {
	serve(conn, 8, func(frame []byte) {
		a := h(request(frame[0], frame[1:]))
		pdu, ok := a.pdu(frame[1:])
		switch {
		case a.Raw != nil:
			conn.Write(a.Raw)
		case ok:
			conn.Write(Seal(append([]byte{frame[0]}, pdu...)))
		}
	})
}

// Seal appends the CRC of a frame.
func Seal(frame []byte) []byte {
	c := wire.CRC(frame)
	return append(frame, byte(c), byte(c>>8))
}

func request(unit byte, pdu []byte) wire.Request {
	return wire.Request{
		Unit: unit, Function: wire.Function(pdu[0]),
		Address: binary.BigEndian.Uint16(pdu[1:]), Count: binary.BigEndian.Uint16(pdu[3:]),
	}
}

// pdu waits as long as the answer takes, and returns it.
func (a Answer) pdu(asked []byte) ([]byte, bool) {
	time.Sleep(a.After)
	switch f := asked[0]; {
	case a.Silent:
		return nil, false
	case a.Refusal != 0:
		return []byte{f | 0x80, byte(a.Refusal)}, true
	case wire.Function(f) == wire.Diagnose:
		return append(append([]byte{}, asked[:3]...), a.Data...), true
	default:
		return append([]byte{f, byte(len(a.Data))}, a.Data...), true
	}
}

// serve hands over one request after the other. It reads at any time, as a
// network does: who sends a request never waits for it to be read.
func serve(conn io.Reader, size int, answer func(frame []byte)) {
	frames := make(chan []byte, 1024)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(frames)
		for {
			frame := make([]byte, size)
			if _, err := io.ReadFull(conn, frame); err != nil {
				return
			}
			frames <- frame
		}
	})
	for frame := range frames {
		answer(frame)
	}
	reader.Wait()
}
