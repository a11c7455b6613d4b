package modbus_test

import (
	"testing"

	"github.com/penstock/penstock/internal/source/modbus"
	"github.com/penstock/penstock/internal/source/modbus/wire"
)

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		text      string
		countFrom int
		table     wire.Function
		first     int
		bit       int
	}{
		{"40001", 0, wire.ReadHolding, 0, -1},
		{"40101", 1, wire.ReadHolding, 100, -1}, // the notation counts from 1, whatever the device does
		{"49999", 0, wire.ReadHolding, 9998, -1},
		{"465536", 0, wire.ReadHolding, 65535, -1},
		{"400101", 0, wire.ReadHolding, 100, -1},
		{"30005", 0, wire.ReadInput, 4, -1},
		{"10017", 0, wire.ReadDiscrete, 16, -1},
		{"00017", 0, wire.ReadCoils, 16, -1},
		{"000017", 0, wire.ReadCoils, 16, -1},
		{"40101.15", 0, wire.ReadHolding, 100, 15},
		{"holding 100", 0, wire.ReadHolding, 100, -1},
		{"holding 100", 1, wire.ReadHolding, 99, -1},
		{"holding 65536", 1, wire.ReadHolding, 65535, -1},
		{"input 0x1F", 0, wire.ReadInput, 31, -1},
		{"coil 0", 0, wire.ReadCoils, 0, -1},
		{"discrete 7", 0, wire.ReadDiscrete, 7, -1},
		{"holding 100.3", 0, wire.ReadHolding, 100, 3},
	} {
		table, first, bit := modbus.At(c.text).First(c.countFrom)
		if table != c.table || first != c.first || bit != c.bit {
			t.Errorf("%q from %d: %d %d %d, want %d %d %d", c.text, c.countFrom, table, first, bit, c.table, c.first, c.bit)
		}
	}
	for _, text := range []string{
		"", "100", "holding", "holding x", "holding -1", "holding 65537", "20001", "40000", "400000", "465537", "4000001",
		"40001.16", "40001.", "coil 5.1", "00017.1", "word 5", "holding 1 2",
	} {
		var a modbus.Address
		if err := a.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func FuzzAddress(f *testing.F) {
	for _, text := range []string{"40001", "holding 0x10.3", "465536.15", "coil 9"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var a modbus.Address
		if a.UnmarshalText([]byte(text)) != nil {
			return
		}
		written, _ := a.MarshalText()
		var again modbus.Address
		if err := again.UnmarshalText(written); err != nil || again != a {
			t.Errorf("%q became %q: %v", text, written, err)
		}
		if _, first, bit := a.First(1); first < -1 || first > 1<<16 || bit < -1 || bit > 15 {
			t.Errorf("%q: address %d, bit %d", text, first, bit)
		}
	})
}
