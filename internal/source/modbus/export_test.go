package modbus

import (
	"context"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/modbus/wire"
)

// NewOn returns a source whose lines are opened by open.
func NewOn(c Config, env source.Env, open func(ctx context.Context, l *Line) (wire.Conn, error)) (*Source, error) {
	s, err := New(c, env)
	if err == nil {
		s.open = open
	}
	return s, err
}

// Read is the value of a point whose registers hold raw.
func Read(p Point, raw []byte) (penstock.Value, penstock.Status) {
	p.Type = p.kind()
	return p.read(raw)
}

// At returns the address that the text stands for.
func At(text string) Address {
	var a Address
	if err := a.UnmarshalText([]byte(text)); err != nil {
		panic(err)
	}
	return a
}

// First returns the function and the address on the wire.
func (a Address) First(countFrom int) (wire.Function, int, int) {
	return a.table, a.first(countFrom), a.bit
}

// Requests returns what is asked of a device in one poll of each of its groups.
func Requests(d Device) (list []wire.Request) {
	for _, p := range plan(&d, d.own(), &Line{}) {
		for _, b := range p.blocks {
			list = append(list, b.ask)
		}
	}
	return list
}
