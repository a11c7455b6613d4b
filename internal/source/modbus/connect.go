package modbus

import (
	"cmp"
	"context"
	"net"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/serialport"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/modbus/wire"
)

// opener opens the way to the devices of a line.
type opener func(ctx context.Context, l *Line) (wire.Conn, error)

const dialTimeout = 5 * time.Second

// open opens a line as it is configured.
func open(ctx context.Context, l *Line) (wire.Conn, error) {
	if l.Serial != nil {
		port, err := serialport.Open(*l.Serial)
		if err != nil {
			return nil, err
		}
		return port, nil
	}
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "tcp", cmp.Or(l.TCP, l.RTUOverTCP))
	if err != nil {
		return nil, penstock.Errorf(penstock.Unavailable, "cannot connect: %w", err)
	}
	return conn, nil
}

// The silence within an answer after which a serial device is not waited for any
// more: USB adapters hold bytes back for 16 ms, and slow devices pause.
const serialGap = 100 * time.Millisecond

// connect opens the line's bus. Without success the next attempt comes later.
func (l *line) connect(ctx context.Context) {
	conn, err := l.open(ctx, l.config)
	if err != nil {
		l.down(err)
		return
	}
	o := wire.Options{
		Seen: l.seen, Pause: l.config.Quirks.Pause, AnyTransaction: l.config.Quirks.NoTransactionEcho,
		AnyUnit: l.config.Quirks.NoUnitEcho, Echo: l.config.Quirks.Echo, Fence: l.fence,
	}
	switch {
	case l.config.TCP != "":
		l.bus = wire.NewTCP(conn, o)
	case l.config.Serial != nil:
		o.Duration = l.config.Serial.Duration
		o.Quiet, o.Gap = o.Duration(4), serialGap+o.Duration(20)
		l.bus = wire.NewRTU(conn, o)
	default:
		l.bus = wire.NewRTU(conn, o)
	}
	l.serial, _ = conn.(*serialport.Port)
	l.stop = context.AfterFunc(ctx, func() { conn.Close() })
	l.again, l.silent = firstOpen, 0
	l.port.Count(evidence.Connected)
	l.up()
}

// disconnect closes the bus, and reopens it when it is needed.
func (l *line) disconnect() {
	l.countFaults()
	l.stop()
	l.bus.Close()
	l.bus, l.serial = nil, nil
}

// The times between two attempts to open a line.
const (
	firstOpen = time.Second
	lastOpen  = 30 * time.Second
)

// down notes that the line cannot be used, and why.
func (l *line) down(err error) {
	l.openAt = l.now().Add(l.again)
	l.again = min(2*l.again, lastOpen)
	l.board.failing(l.port.Name(), err.Error())
	if !l.isDown {
		l.isDown = true
		l.log.Warn("a line is down", "peer", l.port.Name(), "error", err)
	}
}

func (l *line) up() {
	l.board.ok(l.port.Name())
	if l.isDown {
		l.isDown = false
		l.log.Info("a line is up again", "peer", l.port.Name())
	}
}

// seen counts what happened on the wire, for the port and for the device that
// was asked.
func (l *line) seen(unit int, e evidence.Event, frame []byte, why string) {
	pages := []*evidence.Page{l.port}
	if m := l.byUnit[unit]; m != nil {
		pages = append(pages, m.page)
	}
	for _, p := range pages {
		if len(frame) > 0 {
			p.Bad(e, frame, why)
		} else {
			p.Count(e)
		}
	}
}

func (l *line) fence(unit uint8) (wire.Request, bool) {
	m := l.byUnit[int(unit)]
	if m == nil {
		return wire.Request{}, false
	}
	return m.fence, true
}

// countFaults takes over what the serial line saw.
func (l *line) countFaults() {
	if l.serial == nil {
		return
	}
	source.NoteFaults(l.port, l.serial.Faults())
}
