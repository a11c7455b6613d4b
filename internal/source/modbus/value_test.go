package modbus_test

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source/modbus"
)

func TestValues(t *testing.T) {
	tenth := 0.1
	for _, c := range []struct {
		point modbus.Point
		raw   string
		want  string // value, and kind
	}{
		{modbus.Point{Type: modbus.U16}, "ffff", "65535 uint64"},
		{modbus.Point{Type: modbus.I16}, "ffff", "-1 int64"},
		{modbus.Point{Type: modbus.U32}, "00010002", "65538 uint64"},
		{modbus.Point{Type: modbus.U32, Order: modbus.CDAB}, "00020001", "65538 uint64"},
		{modbus.Point{Type: modbus.U32, Order: modbus.BADC}, "01000200", "65538 uint64"},
		{modbus.Point{Type: modbus.U32, Order: modbus.DCBA}, "02000100", "65538 uint64"},
		{modbus.Point{Type: modbus.I32}, "fffffffe", "-2 int64"},
		{modbus.Point{Type: modbus.F32}, "42f6e979", "123.45600128173828 float64"},
		{modbus.Point{Type: modbus.F32, Order: modbus.CDAB}, "e97942f6", "123.45600128173828 float64"},
		{modbus.Point{Type: modbus.F64}, "405edd2f1a9fbe77", "123.456 float64"},
		{modbus.Point{Type: modbus.F64, Order: modbus.CDAB}, "be771a9fdd2f405e", "123.456 float64"},
		{modbus.Point{Type: modbus.F64, Order: modbus.DCBA}, "77be9f1a2fdd5e40", "123.456 float64"},
		{modbus.Point{Type: modbus.U64}, "ffffffffffffffff", "18446744073709551615 uint64"},
		{modbus.Point{Type: modbus.I64}, "8000000000000000", "-9223372036854775808 int64"},
		{modbus.Point{Type: modbus.BCD16}, "1234", "1234 uint64"},
		{modbus.Point{Type: modbus.BCD32, Order: modbus.CDAB}, "56781234", "12345678 uint64"},
		{modbus.Point{Type: modbus.BCD16}, "12a4", "none none BadDecodingError"},
		{modbus.Point{Type: modbus.Text, Length: 3}, "414220200000", "AB text"},
		{modbus.Point{Type: modbus.Text, Length: 2, Order: modbus.BADC}, "42414443", "ABCD text"},
		{modbus.Point{Type: modbus.Text, Length: 1}, "ff00", "none none BadDecodingError"},
		{modbus.Point{Type: modbus.I16, Scale: &tenth}, "fffb", "-0.5 float64"},
		{modbus.Point{Type: modbus.U16, Offset: -40}, "0000", "-40 float64"},
		{modbus.Point{Type: modbus.F32}, "7fc00000", "none none BadSensorFailure"},
		{modbus.Point{Type: modbus.F32}, "ff800000", "none none BadSensorFailure"},
		{modbus.Point{Type: modbus.I16, Invalid: []uint64{0x7fff, 0x8000}}, "8000", "none none BadSensorFailure"},
		{modbus.Point{At: modbus.At("holding 1.0")}, "0001", "true bool"},
		{modbus.Point{At: modbus.At("holding 1.15")}, "7fff", "false bool"},
		{modbus.Point{At: modbus.At("coil 1")}, "0001", "true bool"},
	} {
		raw, err := hex.DecodeString(c.raw)
		if err != nil {
			t.Fatal(err)
		}
		v, status := modbus.Read(c.point, raw)
		got := v.String() + " " + v.Kind().String()
		if status != penstock.Good {
			got += " " + status.String()
		}
		if got != c.want {
			t.Errorf("%s as %s %s: %s, want %s", c.raw, c.point.Type, c.point.Order, got, c.want)
		}
	}
}

// Each order is its own inverse, so that what a device writes in an order is read
// back in it.
func TestOrdersAreReadAsTheyAreWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.Float64().Draw(t, "value")
		order := rapid.SampledFrom([]modbus.Order{"", modbus.ABCD, modbus.CDAB, modbus.BADC, modbus.DCBA}).Draw(t, "order")
		b := binary.BigEndian.AppendUint64(nil, math.Float64bits(want))
		wire := make([]byte, 8)
		for i := range wire { // from the definition: which letter stands where, for pairs of letters
			word, half := i/2, i%2
			if order == modbus.CDAB || order == modbus.DCBA {
				word = 3 - word
			}
			if order == modbus.BADC || order == modbus.DCBA {
				half = 1 - half
			}
			wire[i] = b[2*word+half]
		}
		v, status := modbus.Read(modbus.Point{Type: modbus.F64, Order: order}, wire)
		if math.IsNaN(want) || math.IsInf(want, 0) {
			if status == penstock.Good || v.Kind() != penstock.None {
				t.Fatalf("%v became %v", want, v)
			}
			return
		}
		if v != penstock.FloatValue(want) || status != penstock.Good {
			t.Fatalf("%v as %s became %v %v", want, order, v, status)
		}
	})
}

func FuzzRead(f *testing.F) {
	f.Add("f32", "CDAB", []byte{0x42, 0xf6, 0xe9, 0x79})
	f.Add("text", "", []byte{0x41, 0x42, 0, 0xff})
	f.Fuzz(func(t *testing.T, kind, order string, raw []byte) {
		raw = raw[:len(raw)&^1]
		p := modbus.Point{Type: modbus.Type(kind), Order: modbus.Order(order)}
		if v, status := modbus.Read(p, raw); (v.Kind() == penstock.None) != status.IsBad() {
			t.Errorf("% x as %s: %v %v", raw, kind, v, status)
		}
	})
}
