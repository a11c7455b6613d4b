package offline

import (
	"context"
	"io"
	"time"

	"github.com/penstock/penstock/internal/serialport"
	"github.com/penstock/penstock/internal/source/modbus/scan"
)

// ModbusScan says where to look for Modbus devices: at exactly one of a TCP
// address, an address for RTU over TCP, and a serial line.
type ModbusScan struct {
	TCP, RTUOverTCP, Device string
	Bauds                   []int    // to try on a serial line
	Parities                []string // to try on a serial line
	StopBits                int
	Units                   []uint8
	First, Count            int // registers and bits that are looked at
	Timeout                 time.Duration
	Tell                    func(format string, args ...any) // of the progress
	Out                     io.Writer                        // where the configuration goes
}

// Run writes what it finds as configuration. Its error has code
// [penstock.NotFound] when nobody answers.
func (m ModbusScan) Run(ctx context.Context) error {
	o := scan.Options{
		TCP: m.TCP, RTUOverTCP: m.RTUOverTCP, Device: m.Device, Bauds: m.Bauds, StopBits: m.StopBits,
		Units: m.Units, First: m.First, Count: m.Count, Timeout: m.Timeout, Tell: m.Tell,
	}
	for _, p := range m.Parities {
		o.Parities = append(o.Parities, serialport.Parity(p))
	}
	found, err := scan.Run(ctx, o)
	if err != nil {
		return err
	}
	return found.Write(m.Out)
}
