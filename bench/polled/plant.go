// Package polled is a plant of Modbus devices on many lines, simulated in real time
// behind serial servers, for benchmarks: each device counts how often it answered and
// keeps when, so that what a gateway stored tells how late each poll was.
package polled

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/checksum"
)

// Options say what a plant consists of.
type Options struct {
	Name    string // of the source; the names of its controllers begin with it
	Lines   int
	Devices int           // on a line, 1 to 247
	Every   time.Duration // scan class of all devices
	Dead    bool          // a tenth of the devices is dead
}

// registers are polled of each device; the first two count its answers.
const registers = 60

// The times of a line at 9,600 baud, with 10 bits a character.
const (
	character = time.Second / 960
	thinking  = 20 * time.Millisecond // of a device, before its answer
	asking    = 8                     // characters of a request
)

// Plant is a number of lines. It is safe for concurrent use.
type Plant struct {
	o     Options
	crc   *checksum.Algorithm
	lines []*line
	work  sync.WaitGroup
}

// line is a serial line behind a server of its own.
type line struct {
	plant    *Plant
	listener net.Listener
	devices  []device // by unit, less one

	mu   sync.Mutex // guards conn
	conn net.Conn
}

type device struct {
	dead    bool
	answers []time.Time // when each was through; the line's goroutine alone adds to it
	noted   int         // answer of the newest stored value that was looked at
}

// Start makes the lines ready. The error has code [penstock.Invalid] when an option
// is out of its range.
func Start(o Options) (*Plant, error) {
	if o.Lines < 1 || o.Devices < 1 || o.Devices > 247 || o.Every < time.Second {
		return nil, penstock.Errorf(penstock.Invalid, "a plant has lines, 1 to 247 devices on each, and polls them once a second at most: %+v", o)
	}
	crc, ok := checksum.Find("crc-16/modbus")
	if !ok {
		return nil, penstock.Errorf(penstock.Internal, "there is no CRC of Modbus")
	}
	p := &Plant{o: o, crc: crc}
	for i := range o.Lines {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			p.Close()
			return nil, fmt.Errorf("a line: %w", err)
		}
		at := &line{plant: p, listener: l, devices: make([]device, o.Devices)}
		for k := range at.devices {
			at.devices[k].dead = o.Dead && (i*o.Devices+k)%10 == 3
		}
		p.lines = append(p.lines, at)
		p.work.Go(at.serve)
	}
	return p, nil
}

// Close ends the lines.
func (p *Plant) Close() {
	for _, l := range p.lines {
		l.listener.Close() // nothing is lost with it
		l.mu.Lock()
		if l.conn != nil {
			l.conn.Close()
		}
		l.mu.Unlock()
	}
	p.work.Wait()
}

// name returns the name of a controller.
func (p *Plant) name(line, device int) string {
	return fmt.Sprintf("%s-%02d-%02d", p.o.Name, line+1, device+1)
}

// Config returns the source that polls the plant, an item of sources.
func (p *Plant) Config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  - name: %s\n    modbus:\n      models:\n        station:\n          groups:\n            - every: %v\n              points:\n"+
		"                - {name: polls, at: holding 0, type: u32}\n                - {name: last, at: holding %d}\n"+
		"          max_gap: %d\n      lines:\n", p.o.Name, p.o.Every, registers-1, registers)
	for i, l := range p.lines {
		fmt.Fprintf(&b, "        - name: line-%02d\n          rtu_over_tcp: %s\n          devices:\n", i+1, l.listener.Addr())
		for k := range l.devices {
			fmt.Fprintf(&b, "            - {controller: %s, unit: %d, model: station}\n", p.name(i, k), k+1)
		}
	}
	return b.String()
}

// serve takes one connection after the other, as serial servers do.
func (l *line) serve() {
	for {
		c, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.mu.Lock()
		l.conn = c
		l.mu.Unlock()
		for {
			if err := l.answer(c); err != nil {
				break
			}
		}
		c.Close() // the other end has gone
	}
}

var errAnother = errors.New("this is no request for holding registers")

// answer takes one request, and answers it as a device at 9,600 baud would.
func (l *line) answer(c net.Conn) error {
	var q [asking]byte
	if _, err := io.ReadFull(c, q[:]); err != nil {
		return err
	}
	begun := time.Now()
	unit, first, count := q[0], binary.BigEndian.Uint16(q[2:]), binary.BigEndian.Uint16(q[4:])
	const readHolding = 3
	if q[1] != readHolding || count == 0 || count > 125 || uint32(binary.LittleEndian.Uint16(q[6:])) != l.plant.crc.Sum(q[:6]) {
		return errAnother
	}
	if unit < 1 || int(unit) > len(l.devices) || l.devices[unit-1].dead {
		return nil
	}
	d := &l.devices[unit-1]
	n := uint32(len(d.answers) + 1)
	b := []byte{unit, readHolding, byte(2 * count)}
	for i := first; i != first+count; i++ {
		b = binary.BigEndian.AppendUint16(b, register(i, n))
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(l.plant.crc.Sum(b)))
	time.Sleep(time.Until(begun.Add(time.Duration(len(q)+len(b))*character + thinking)))
	d.answers = append(d.answers, time.Now())
	_, err := c.Write(b)
	return err
}

// register returns what stands in a register of a device at its n-th answer.
func register(i uint16, n uint32) uint16 {
	switch i {
	case 0:
		return uint16(n >> 16)
	case 1:
		return uint16(n)
	}
	return i + uint16(n)
}
