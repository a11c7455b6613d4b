package modbus

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source/modbus/wire"
)

// problems collects what is wrong, each with the path of its key.
type problems struct{ found []error }

func (p *problems) refuse(path, format string, args ...any) {
	p.found = append(p.found, penstock.Errorf(penstock.Invalid, "%s: %s", path, fmt.Sprintf(format, args...)))
}

// within refuses a number outside of its bounds; 0 stands for the default.
func (p *problems) within(path string, n, low, high int) {
	if n != 0 && (n < low || n > high) {
		p.refuse(path, "%d is outside %d to %d", n, low, high)
	}
}

func (p *problems) span(path string, d, low, high time.Duration) {
	if d != 0 && (d < low || d > high) {
		p.refuse(path, "%s is outside %s to %s", d, low, high)
	}
}

func (p *problems) optional(path string, n *int, high int) {
	if n != nil && (*n < 0 || *n > high) {
		p.refuse(path, "%d is outside 0 to %d", *n, high)
	}
}

// Validate returns all that is wrong, with code [penstock.Invalid]. What is wrong
// with a serial line is its own to say.
func (c *Config) Validate() error {
	var p problems
	p.within("buffer", c.Buffer, 1, maxBuffer)
	if len(c.Lines) == 0 || len(c.Lines) > maxLines {
		p.refuse("lines", "a source has 1 to %d lines, this one has %d", maxLines, len(c.Lines))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Models)) {
		m := c.Models[name]
		p.model("models."+name, &m)
	}
	names, controllers := map[string]bool{}, map[string]bool{}
	for i := range c.Lines {
		l := &c.Lines[i]
		path := fmt.Sprintf("lines[%d]", i)
		if l.Name == "" && len(c.Lines) > 1 {
			p.refuse(path+".name", "each line needs a name where there are several")
		} else if names[l.Name] {
			p.refuse(path+".name", "%q is the name of another line too", l.Name)
		} else if err := penstock.CheckPointName(l.Name); l.Name != "" && err != nil {
			p.refuse(path+".name", "%v", err)
		}
		names[l.Name] = true
		p.line(path, l, c.Models, controllers)
	}
	return errors.Join(p.found...)
}

func (p *problems) line(path string, l *Line, models map[string]Model, controllers map[string]bool) {
	p.way(path, l)
	p.span(path+".timeout", l.Timeout, minTimeout, maxTimeout)
	p.optional(path+".retries", l.Retries, maxRetries)
	p.within(path+".demote.after", l.Demote.After, 1, maxDemote)
	p.span(path+".demote.probe", l.Demote.Probe, minProbe, maxProbe)
	p.quirks(path+".quirks", l)
	if len(l.Devices) == 0 || len(l.Devices) > maxDevices {
		p.refuse(path+".devices", "a line has 1 to %d devices, this one has %d", maxDevices, len(l.Devices))
	}
	units := map[uint8]bool{}
	for i := range l.Devices {
		d := &l.Devices[i]
		at := fmt.Sprintf("%s.devices[%d]", path, i)
		if units[d.Unit] {
			p.refuse(at+".unit", "%d is another device's on this line", d.Unit)
		}
		units[d.Unit] = true
		if l.TCP == "" && (d.Unit < 1 || d.Unit > maxUnit) {
			p.refuse(at+".unit", "%d is outside 1 to %d", d.Unit, maxUnit)
		}
		if controllers[d.Controller] {
			p.refuse(at+".controller", "%q is another device too: each controller has a name of its own", d.Controller)
		}
		controllers[d.Controller] = true
		p.device(at, d, models)
	}
}

// way refuses a line that does not say one way to its devices.
func (p *problems) way(path string, l *Line) {
	ways := 0
	if l.Serial != nil {
		ways++
	}
	for _, key := range []struct{ name, address string }{{"tcp", l.TCP}, {"rtu_over_tcp", l.RTUOverTCP}} {
		if key.address == "" {
			continue
		}
		ways++
		if host, port, err := net.SplitHostPort(key.address); err != nil || host == "" || port == "" {
			p.refuse(path+"."+key.name, "%q is no host:port, such as 192.0.2.7:502", key.address)
		}
	}
	if ways != 1 {
		p.refuse(path, "says %d ways to its devices: exactly one of tcp, rtu_over_tcp and serial is needed", ways)
	}
}

func (p *problems) quirks(path string, l *Line) {
	p.span(path+".pause", l.Quirks.Pause, time.Microsecond, maxPause)
	if l.TCP == "" && (l.Quirks.NoTransactionEcho || l.Quirks.NoUnitEcho) {
		p.refuse(path, "no_transaction_echo and no_unit_echo are for tcp: RTU has no transactions, and the unit is part of the frame")
	}
	if l.TCP != "" && l.Quirks.Echo {
		p.refuse(path+".echo", "is for lines in RTU framing")
	}
}

func (p *problems) device(path string, d *Device, models map[string]Model) {
	if err := penstock.CheckControllerName(d.Controller); err != nil {
		p.refuse(path+".controller", "%v", err)
	}
	p.span(path+".diagnostics", d.Diagnostics, time.Second, maxEvery)
	switch {
	case d.Model == "":
		p.model(path, d.own())
	case len(d.Groups) > 0 || d.CountFrom != 0 || d.MaxRegisters != 0 || d.MaxGap != nil:
		p.refuse(path, "has a model, and groups or limits of its own: one of them must go")
	default:
		if _, known := models[d.Model]; !known {
			p.refuse(path+".model", "%q is none of the models: %s", d.Model, strings.Join(slices.Sorted(maps.Keys(models)), ", "))
		}
	}
}

// own returns what the device itself says it has to tell.
func (d *Device) own() *Model {
	return &Model{Groups: d.Groups, CountFrom: d.CountFrom, MaxRegisters: d.MaxRegisters, MaxGap: d.MaxGap}
}

func (p *problems) model(path string, m *Model) {
	p.within(path+".count_from", m.CountFrom, 0, 1)
	p.within(path+".max_registers", m.MaxRegisters, 1, wire.MaxRegisters)
	p.optional(path+".max_gap", m.MaxGap, wire.MaxRegisters-1)
	if len(m.Groups) == 0 || len(m.Groups) > maxDeviceGroups {
		p.refuse(path+".groups", "there must be 1 to %d, with the points that are polled; here are %d", maxDeviceGroups, len(m.Groups))
	}
	names := map[string]bool{}
	for i := range m.Groups {
		g := &m.Groups[i]
		at := fmt.Sprintf("%s.groups[%d]", path, i)
		if g.Every < minEvery || g.Every > maxEvery {
			p.refuse(at+".every", "%s is outside %s to %s", g.Every, minEvery, maxEvery)
		}
		p.span(at+".timeout", g.Timeout, minTimeout, maxTimeout)
		p.optional(at+".retries", g.Retries, maxRetries)
		if len(g.Points) == 0 || len(g.Points) > maxGroupPoints {
			p.refuse(at+".points", "a group has 1 to %d points, this one has %d", maxGroupPoints, len(g.Points))
		}
		for j := range g.Points {
			point := &g.Points[j]
			where := fmt.Sprintf("%s.points[%d]", at, j)
			if names[point.Name] {
				p.refuse(where+".name", "%q is another point of this device too", point.Name)
			}
			names[point.Name] = true
			p.point(where, point, m)
		}
	}
}

func (p *problems) point(path string, t *Point, m *Model) {
	if err := penstock.CheckPointName(t.Name); err != nil {
		p.refuse(path+".name", "%v", err)
	}
	if err := penstock.CheckUnit(t.Unit); err != nil {
		p.refuse(path+".unit", "%v", err)
	}
	if !t.At.set() {
		p.refuse(path+".at", "is missing: %s", addressHelp)
		return
	}
	if t.At.table == 0 {
		return // it was refused when it was read
	}
	p.form(path, t)
	if size := t.place(m.CountFrom).span; size.end-size.first > m.most() {
		p.refuse(path+".type", "it takes %d registers, and the device gives %d at once", size.end-size.first, m.most())
	}
	p.reach(path+".at", t.place(m.CountFrom))
	if s := t.Status; s != nil {
		if !s.At.set() || s.At.table.Bits() || s.At.bit >= 0 {
			p.refuse(path+".status.at", "needs a whole register: its bits are chosen by bad and uncertain")
			return
		}
		p.reach(path+".status.at", s.place(m.CountFrom))
	}
}

func (m *Model) most() int {
	if m.MaxRegisters == 0 {
		return wire.MaxRegisters
	}
	return m.MaxRegisters
}

func (p *problems) reach(path string, at place) {
	if at.first < 0 || at.end > 1<<16 {
		p.refuse(path, "reaches outside of the addresses 0 to 65535 on the wire; see count_from")
	}
}

// form refuses what does not fit the type of a point.
func (p *problems) form(path string, t *Point) {
	kind := t.kind()
	bit := t.At.table.Bits() || t.At.bit >= 0
	switch {
	case kind.words() == 0 && kind != Text:
		p.refuse(path+".type", "%q is none of bool, u16, i16, u32, i32, u64, i64, f32, f64, bcd16, bcd32 and text", t.Type)
	case bit && kind != Bool:
		p.refuse(path+".type", "what is a single bit can only be a bool")
	case kind == Bool && !bit:
		p.refuse(path+".at", "a bool in a register needs its bit, as in 'holding 100.3'")
	case (kind == Text) != (t.Length != 0):
		p.refuse(path+".length", "a text has a length in registers, and nothing else has")
	case !t.Order.valid():
		p.refuse(path+".order", "%q is none of ABCD, CDAB, BADC and DCBA", t.Order)
	}
	p.within(path+".length", t.Length, 1, wire.MaxRegisters)
	p.arithmetic(path, t)
}

func (p *problems) arithmetic(path string, t *Point) {
	if kind := t.kind(); (kind == Bool || kind == Text) && (t.Scale != nil || t.Offset != 0 || len(t.Invalid) > 0) {
		p.refuse(path, "scale, offset and invalid are for numbers")
	}
	for _, bits := range t.Invalid {
		if n := t.kind().words(); n > 0 && n < 4 && bits>>(16*n) != 0 {
			p.refuse(path+".invalid", "%#x is more than %d registers of 16 bits can hold", bits, n)
		}
	}
	if t.Scale != nil && *t.Scale == 0 {
		p.refuse(path+".scale", "0 is no factor")
	}
}
