package scan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/serialport"
	"github.com/penstock/penstock/internal/source/modbus/wire"
)

// Options say where to look, and for what.
type Options struct {
	TCP        string // host:port; or
	RTUOverTCP string // host:port; or
	Device     string // of a serial line
	Bauds      []int  // to try on a serial line
	Parities   []serialport.Parity
	StopBits   int
	Units      []uint8
	First      int // register or bit that is looked at
	Count      int
	Timeout    time.Duration
	Tell       func(format string, args ...any) // of the progress, a line a call
}

// Found is what is there.
type Found struct {
	Options
	Serial serialport.Config // how the serial line is driven, when it is one
	Units  []Unit
}

// Unit is a device that answered.
type Unit struct {
	Number  uint8
	Ranges  []Range
	Limited bool // it gave no more than partCount registers at once
}

// Range is what can be read without a gap, with what stood there.
type Range struct {
	Table wire.Function
	First int
	Words []uint16 // of registers, or 0 and 1 of bits
}

// Run looks for devices. Its error has code [penstock.NotFound] when none answers.
func Run(ctx context.Context, o Options) (*Found, error) {
	if o.Device == "" {
		return runTCP(ctx, o)
	}
	noise := ""
	for _, parity := range o.Parities {
		for _, baud := range o.Bauds {
			c := serialport.Config{Device: o.Device, Baud: baud, Parity: parity, StopBits: o.StopBits}
			port, err := serialport.Open(c)
			if err != nil {
				return nil, err
			}
			o.Tell("%d baud, parity %s: asking %d units", baud, parity, len(o.Units))
			s := newScanner(ctx, o, port, func(w wire.Options) *wire.Bus {
				w.Duration = c.Duration
				w.Quiet, w.Gap = c.Duration(4), serialGap
				return wire.NewRTU(port, w)
			})
			found := &Found{Options: o, Serial: c, Units: s.units()}
			damaged := s.damaged
			s.close()
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if len(found.Units) > 0 {
				return found, nil
			}
			if damaged > 0 {
				noise += fmt.Sprintf("; something came at %d baud, parity %s", baud, parity)
			}
		}
	}
	return nil, penstock.Errorf(penstock.NotFound, "nobody answers on %s%s: look at wiring (A and B exchanged?), speed, parity and units", o.Device, noise)
}

// serialGap is the silence after which an answer is taken for complete.
const serialGap = 100 * time.Millisecond

func runTCP(ctx context.Context, o Options) (*Found, error) {
	address, build := o.TCP, wire.NewTCP
	if address == "" {
		address, build = o.RTUOverTCP, wire.NewRTU
	}
	d := net.Dialer{Timeout: 5 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, penstock.Errorf(penstock.Unavailable, "cannot connect: %w", err)
	}
	o.Tell("%s: asking %d units", address, len(o.Units))
	s := newScanner(ctx, o, conn, func(w wire.Options) *wire.Bus { return build(conn, w) })
	defer s.close()
	found := &Found{Options: o, Units: s.units()}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case s.bus.Broken() != nil && len(found.Units) == 0:
		return nil, s.bus.Broken()
	case len(found.Units) == 0:
		return nil, penstock.Errorf(penstock.NotFound, "nobody answers at %s: try --units, a longer --timeout, or the other framing", address)
	}
	return found, nil
}

// scanner looks at one line as it is driven now.
type scanner struct {
	Options
	bus     *wire.Bus
	watch   func() bool
	damaged int
	limited bool // the unit that is looked at gave in parts what it refused as a whole
}

func newScanner(ctx context.Context, o Options, conn wire.Conn, build func(wire.Options) *wire.Bus) *scanner {
	s := &scanner{Options: o}
	s.bus = build(wire.Options{
		Seen: func(_ int, e evidence.Event, frame []byte, _ string) {
			if len(frame) > 0 && e != evidence.Exception && e != evidence.Late {
				s.damaged++
			}
		},
		// No other request of a scan asks for so many. Many devices refuse it: that is
		// an answer too.
		Fence: func(unit uint8) (wire.Request, bool) {
			return wire.Request{Unit: unit, Function: wire.ReadInput, Address: uint16(o.First), Count: fenceCount}, true
		},
	})
	s.watch = context.AfterFunc(ctx, func() { conn.Close() })
	return s
}

func (s *scanner) close() {
	s.watch()
	s.bus.Close()
}

// The numbers of registers that a scan reads at once; that of a fence is none of
// them.
const (
	wholeCount = 100
	bitsCount  = 800
	partCount  = 10 // where the whole is refused
	fenceCount = 123
)

// units returns the devices that answer, with what they have.
func (s *scanner) units() (list []Unit) {
	for _, number := range s.Units {
		if s.bus.Broken() != nil {
			break
		}
		if !s.answers(number) {
			continue
		}
		u := Unit{Number: number}
		s.limited = false
		for _, table := range []wire.Function{wire.ReadCoils, wire.ReadDiscrete, wire.ReadHolding, wire.ReadInput} {
			u.Ranges = append(u.Ranges, s.ranges(number, table)...)
		}
		u.Limited = s.limited
		s.Tell("unit %d answers, %d ranges can be read", number, len(u.Ranges))
		list = append(list, u)
	}
	return list
}

// answers tells whether a unit says anything at all; a refusal is an answer.
func (s *scanner) answers(unit uint8) bool {
	_, err := s.bus.Ask(wire.Request{Unit: unit, Function: wire.ReadHolding, Address: uint16(s.First), Count: 1}, s.Timeout)
	var refusal *wire.Exception
	if errors.As(err, &refusal) { // a gateway that says so speaks for nobody
		return refusal.Code != wire.PathUnavailable && refusal.Code != wire.TargetSilent
	}
	return err == nil
}

// ranges returns what can be read of one table.
func (s *scanner) ranges(unit uint8, table wire.Function) (list []Range) {
	size := wholeCount
	if table.Bits() {
		size = bitsCount
	}
	last := s.First + s.Count
	for first := s.First; first < last; first += size {
		words, more := s.look(unit, table, first, min(size, last-first))
		for _, r := range words {
			if n := len(list); n > 0 && list[n-1].First+len(list[n-1].Words) == r.First {
				list[n-1].Words = append(list[n-1].Words, r.Words...)
				continue
			}
			list = append(list, r)
		}
		if !more {
			break
		}
	}
	return list
}

// look reads a part of a table. Where the device refuses the whole, every tenth
// is tried, and what is around those that can be read. It returns false when the
// device does not know the table at all.
func (s *scanner) look(unit uint8, table wire.Function, first, count int) (found []Range, more bool) {
	words, err := s.read(unit, table, first, count)
	if err == nil {
		return []Range{{table, first, words}}, true
	}
	var refusal *wire.Exception
	if !errors.As(err, &refusal) || refusal.Code == wire.IllegalFunction {
		return nil, false
	}
	got := 0
	for a := first; a < first+count; a += partCount {
		parts := s.part(unit, table, a, min(partCount, first+count-a))
		for _, r := range parts {
			got += len(r.Words)
		}
		found = append(found, parts...)
	}
	s.limited = s.limited || got == count && !table.Bits()
	return found, s.bus.Broken() == nil
}

// part reads a few at once, or else one by one as long as the first can be read.
func (s *scanner) part(unit uint8, table wire.Function, first, count int) (found []Range) {
	if words, err := s.read(unit, table, first, count); err == nil {
		return []Range{{table, first, words}}
	}
	for a := first; a < first+count; a++ {
		words, err := s.read(unit, table, a, 1)
		if err == nil {
			found = append(found, Range{table, a, words})
		} else if a == first {
			break
		}
	}
	return found
}

func (s *scanner) read(unit uint8, table wire.Function, first, count int) ([]uint16, error) {
	q := wire.Request{Unit: unit, Function: table, Address: uint16(first), Count: uint16(count)}
	data, err := s.bus.Ask(q, s.Timeout)
	if errors.Is(err, wire.ErrTimeout) || errors.Is(err, wire.ErrDamaged) {
		data, err = s.bus.Ask(q, s.Timeout)
	}
	if err != nil {
		return nil, err
	}
	words := make([]uint16, count)
	for i := range words {
		if table.Bits() {
			words[i] = uint16(data[i/8] >> (i % 8) & 1)
		} else {
			words[i] = uint16(data[2*i])<<8 | uint16(data[2*i+1])
		}
	}
	return words, nil
}
