package offline_test

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/app/offline"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/source/modbus/modbustest"
	"github.com/penstock/penstock/internal/source/modbus/wire"
)

// What a scan writes is configuration that holds, whatever it found.
func TestWhatAScanWritesHolds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var device sync.WaitGroup
	defer device.Wait()
	defer l.Close()
	device.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		modbustest.ServeTCP(conn, func(q wire.Request) modbustest.Answer {
			if q.Unit == 2 {
				return modbustest.Answer{Refusal: wire.IllegalFunction} // nothing can be read of it
			}
			return modbustest.Registers(q, func(_ wire.Function, a uint16) uint16 { return a })
		})
	})
	var out bytes.Buffer
	scan := offline.ModbusScan{TCP: l.Addr().String(), Units: []uint8{1, 2}, Count: 200, Timeout: time.Second, Tell: func(string, ...any) {}, Out: &out}
	if err := scan.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "penstock.yaml")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	c := settings.Default()
	if _, err := config.Load(&c, config.Sources{File: file}); err != nil {
		t.Errorf("%v in\n%s", err, out.String())
	}
	if len(c.Sources) != 1 || len(c.Sources[0].Modbus.Lines[0].Devices) != 2 {
		t.Errorf("the configuration has not both devices:\n%s", out.String())
	}
}
