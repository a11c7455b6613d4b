package modbus_test

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/modbus"
	"github.com/penstock/penstock/internal/source/modbus/modbustest"
	"github.com/penstock/penstock/internal/source/modbus/wire"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/internal/testkit"
)

func TestConformance(t *testing.T) {
	sourcetest.RunPolled(t, func(t *testing.T) sourcetest.Polled {
		var value, reads, garbled atomic.Uint64
		address := device(t, func(q wire.Request) modbustest.Answer {
			a := modbustest.Registers(q, func(wire.Function, uint16) uint16 { return uint16(value.Load()) })
			reads.Add(1)
			if garbled.Load() > 0 {
				garbled.Add(^uint64(0))
				a.Raw = []byte{1, 3, 2, 0, 0, 0xBA, 0xD0}
			}
			return a
		})
		waitFor := func(n uint64) {
			before := reads.Load()
			testkit.Eventually(t, func() bool { return reads.Load() >= before+n }, "the device to be read")
		}
		return sourcetest.Polled{
			Subject: sourcetest.Subject{
				New: func(t *testing.T, env source.Env) penstock.Source {
					s, err := modbus.New(modbus.Config{Lines: []modbus.Line{{RTUOverTCP: address, Timeout: 100 * time.Millisecond, Devices: []modbus.Device{
						{Controller: "pump-17", Unit: 1, Groups: []modbus.Group{{Every: 20 * time.Millisecond, Points: []modbus.Point{point("flow", "holding 1", "")}}}},
					}}}}, env)
					if err != nil {
						t.Fatal(err)
					}
					return s
				},
				Garble: func(*testing.T) { garbled.Store(1) },
			},
			Value: func(v uint64) {
				value.Store(v)
				waitFor(2) // the first may have been under way
			},
		}
	})
}

// device serves a simulated device in RTU framing over TCP until the test ends.
func device(t *testing.T, h modbustest.Handler) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer conn.Close()
				modbustest.ServeRTU(conn, h)
			})
		}
	})
	t.Cleanup(func() { l.Close(); work.Wait() })
	return l.Addr().String()
}
