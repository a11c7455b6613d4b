package scan_test

import (
	"bytes"
	"context"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/serialport"
	"github.com/penstock/penstock/internal/source/modbus/modbustest"
	"github.com/penstock/penstock/internal/source/modbus/scan"
	"github.com/penstock/penstock/internal/source/modbus/wire"
	"github.com/penstock/penstock/internal/testkit"
)

// station is unit 3 with floats from holding register 20 on, whose low word comes
// first, and a few coils; unit 9 refuses everything but single input registers.
func station(q wire.Request) modbustest.Answer {
	readable := func(first, end int) bool { return int(q.Address) >= first && int(q.Address)+int(q.Count) <= end }
	switch {
	case q.Unit == 3 && q.Function == wire.ReadHolding && readable(20, 28):
		return modbustest.Registers(q, func(_ wire.Function, a uint16) uint16 {
			bits := math.Float32bits(3.5 * float32(1+(a-20)/2))
			if a%2 == 0 {
				return uint16(bits)
			}
			return uint16(bits >> 16)
		})
	case q.Unit == 3 && q.Function == wire.ReadCoils && readable(0, 4):
		return modbustest.Registers(q, func(_ wire.Function, a uint16) uint16 { return a & 1 })
	case q.Unit == 9 && q.Function == wire.ReadInput && readable(0, 200) && q.Count <= 10:
		return modbustest.Registers(q, func(_ wire.Function, a uint16) uint16 { return a / 100 })
	case q.Unit == 9 && q.Function != wire.ReadInput:
		return modbustest.Answer{Refusal: wire.IllegalFunction}
	case q.Unit == 3 || q.Unit == 9:
		return modbustest.Answer{Refusal: wire.IllegalAddress}
	case q.Unit == 5:
		return modbustest.Answer{Refusal: wire.TargetSilent}
	}
	return modbustest.Answer{Silent: true}
}

// listen serves one connection, and returns its address.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		if conn, err := l.Accept(); err == nil {
			defer conn.Close()
			serve(conn)
		}
	})
	t.Cleanup(func() { l.Close(); work.Wait() })
	return l.Addr().String()
}

func options(units ...uint8) scan.Options {
	return scan.Options{Units: units, Count: 200, Timeout: 50 * time.Millisecond, Tell: func(string, ...any) {}}
}

func TestScanFindsUnitsRangesAndOrder(t *testing.T) {
	for name, set := range map[string]func(o *scan.Options){
		"tcp": func(o *scan.Options) {
			o.TCP = listen(t, func(c net.Conn) { modbustest.ServeTCP(c, station) })
		},
		"rtu over tcp": func(o *scan.Options) {
			o.RTUOverTCP = listen(t, func(c net.Conn) { modbustest.ServeRTU(c, station) })
		},
	} {
		o := options(1, 3, 5, 9)
		set(&o)
		found, err := scan.Run(t.Context(), o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var b bytes.Buffer
		if err := found.Write(&b); err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer(o.TCP+o.RTUOverTCP, "ADDRESS", "rtu_over_tcp", "tcp").Replace(b.String())
		testkit.Golden(t, "found.yaml", []byte(text))
	}
}

func TestScanOfASerialLine(t *testing.T) {
	near, far, unplug := modbustest.Pair(t, t.TempDir())
	port, err := serialport.Open(serialport.Config{Device: far})
	if err != nil {
		t.Fatal(err)
	}
	var device sync.WaitGroup
	defer device.Wait()
	defer port.Close()
	defer unplug()
	asked := 0
	device.Go(func() {
		modbustest.ServeRTU(port, func(q wire.Request) modbustest.Answer {
			if asked++; asked <= 2 {
				return modbustest.Answer{Silent: true} // as at a wrong speed
			}
			return station(q)
		})
	})
	o := options(1, 3)
	o.Device, o.Bauds, o.Parities = near, []int{9600, 19200}, []serialport.Parity{serialport.NoParity, serialport.EvenParity}
	found, err := scan.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if found.Serial.Baud != 19200 || found.Serial.Parity != serialport.NoParity || len(found.Units) != 1 || found.Units[0].Number != 3 {
		t.Errorf("found %+v", found)
	}
	var b bytes.Buffer
	if err := found.Write(&b); err != nil || !strings.Contains(b.String(), "baud: 19200, parity: none, stop_bits: 1}") {
		t.Errorf("%v in %s", err, b.String())
	}
}

func TestNobodyIsAnError(t *testing.T) {
	o := options(1, 2)
	o.TCP = listen(t, func(c net.Conn) { modbustest.ServeTCP(c, station) })
	if _, err := scan.Run(t.Context(), o); penstock.CodeOf(err) != penstock.NotFound {
		t.Error(err)
	}
}

func TestAScanEndsWithItsContext(t *testing.T) {
	o := options(1, 2)
	o.Timeout = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	o.TCP = listen(t, func(c net.Conn) {
		cancel()
		modbustest.ServeTCP(c, station)
	})
	if _, err := scan.Run(ctx, o); err == nil {
		t.Error("it found something")
	}
}

// Floats of the size of measured values are recognised in the order in which they
// stand, and small whole numbers are not taken for floats.
func TestGuess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float32Range(0.1, 50_000), 8, 20).Draw(t, "values")
		order := rapid.SampledFrom([]string{"ABCD", "CDAB"}).Draw(t, "order")
		var words []uint16
		for _, v := range values {
			bits := math.Float32bits(v)
			high, low := uint16(bits>>16), uint16(bits)
			if order == "CDAB" {
				high, low = low, high
			}
			words = append(words, high, low)
		}
		if got, start := scan.Guess(words); got != order || start != 0 {
			t.Fatalf("%v in %s look like %s from %d", values, order, got, start)
		}
	})
	for _, words := range [][]uint16{{1, 2, 3, 4, 5, 6}, {0, 0, 0, 0}, {100, 0, 200, 0}, {65535, 65535, 65535, 65535}, {7}, {}} {
		if order, _ := scan.Guess(words); order != "" {
			t.Errorf("%v look like floats in %s", words, order)
		}
	}
}
