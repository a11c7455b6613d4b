package checksum_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/checksum"
)

const digits = "123456789"

func find(t testing.TB, name string) *checksum.Algorithm {
	t.Helper()
	a, ok := checksum.Find(name)
	if !ok {
		t.Fatalf("there is no %q", name)
	}
	return a
}

// The check values are those of the published catalogues.
func TestCheckValues(t *testing.T) {
	want := map[string]uint32{
		"CRC-32/ISO-HDLC": 0xCBF43926, "CRC-32C": 0xE3069283, "CRC-32/MPEG-2": 0x0376E6E7, "CRC-32/BZIP2": 0xFC891918, "CRC-32/JAMCRC": 0x340BC6D9,
		"CRC-16/MODBUS": 0x4B37, "CRC-16/DNP": 0xEA82, "CRC-16/EN-13757": 0xC2B7, "CRC-16/X-25": 0x906E, "CRC-16/ARC": 0xBB3D,
		"CRC-16/CCITT-FALSE": 0x29B1, "CRC-16/XMODEM": 0x31C3, "CRC-16/KERMIT": 0x2189, "CRC-8/SMBUS": 0xF4, "CRC-8/MAXIM": 0xA1,
		"SUM8": 0xDD, "SUM16": 0x01DD, "LRC8": 0x23, "XOR8": 0x31, "NONE": 0,
	}
	for name, check := range want {
		if got := find(t, name).Sum([]byte(digits)); got != check {
			t.Errorf("%s: %X, not %X", name, got, check)
		}
	}
	if len(want) != len(checksum.Names()) {
		t.Errorf("%d algorithms are checked of %d", len(want), len(checksum.Names()))
	}
}

func TestNames(t *testing.T) {
	for spelled, want := range map[string]string{
		"crc32": "crc-32/iso-hdlc", "CRC-32": "crc-32/iso-hdlc", "crc16/modbus": "crc-16/modbus", " CRC-16/Modbus ": "crc-16/modbus",
		"CRC32C": "crc-32c", "CRC-16/IBM-3740": "crc-16/ccitt-false", "bcc": "xor8",
	} {
		if got := find(t, spelled).Name(); got != want {
			t.Errorf("%q is %q", spelled, got)
		}
	}
	if _, ok := checksum.Find("crc-17"); ok {
		t.Error("crc-17 was found")
	}
}

// Frames as they stand in the specifications of their protocols.
func TestKnownFrames(t *testing.T) {
	for _, c := range []struct{ name, data, wire string }{
		{"crc-16/modbus", "\x01\x03\x00\x00\x00\x0a", "\xc5\xcd"},
		{"crc-16/dnp", "\x05\x64\x05\xc0\x01\x00\x00\x04", "\xe9\x21"},
		{"lrc8", "\xf7\x03\x13\x89\x00\x0a", "\x60"},
	} {
		a := find(t, c.name)
		if got := a.Append(nil, []byte(c.data), checksum.LowFirst); string(got) != c.wire {
			t.Errorf("%s of % x is % x, not % x", c.name, c.data, got, c.wire)
		}
	}
}

// A frame with its own checksum behind it has the same checksum whatever it holds, as
// the catalogues of CRCs say it.
func TestResidue(t *testing.T) {
	for name, want := range map[string]struct {
		order   checksum.Order
		residue uint32
	}{
		"crc-32/iso-hdlc": {checksum.LowFirst, 0x2144DF1C}, "crc-32c": {checksum.LowFirst, 0x48674BC7},
		"crc-16/modbus": {checksum.LowFirst, 0}, "crc-16/xmodem": {checksum.HighFirst, 0},
	} {
		a := find(t, name)
		rapid.Check(t, func(t *rapid.T) {
			data := rapid.SliceOf(rapid.Byte()).Draw(t, "data")
			if got := a.Sum(a.Append(slices.Clone(data), data, want.order)); got != want.residue {
				t.Fatalf("%s of a whole frame is %X, not %X", name, got, want.residue)
			}
		})
	}
}

// bitwise computes a CRC bit by bit, as the definition has it.
func bitwise(data []byte, width int, poly, init, out uint64, reflect bool) uint32 {
	r := init
	for _, b := range data {
		for i := range 8 {
			bit := uint64(b>>(7-i)) & 1
			if reflect {
				bit = uint64(b>>i) & 1
			}
			top := r >> (width - 1) & 1
			r = r << 1 & (1<<width - 1)
			if top != bit {
				r ^= poly
			}
		}
	}
	if reflect {
		var mirrored uint64
		for i := range width {
			mirrored |= r >> i & 1 << (width - 1 - i)
		}
		r = mirrored
	}
	return uint32(r ^ out)
}

func TestTablesAgreeWithTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOf(rapid.Byte()).Draw(t, "data")
		for name, want := range map[string]uint32{
			"crc-16/modbus":   bitwise(data, 16, 0x8005, 0xFFFF, 0, true),
			"crc-16/en-13757": bitwise(data, 16, 0x3D65, 0, 0xFFFF, false),
			"crc-32/mpeg-2":   bitwise(data, 32, 0x04C11DB7, 0xFFFFFFFF, 0, false),
			"crc-32c":         bitwise(data, 32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true),
			"crc-8/maxim":     bitwise(data, 8, 0x31, 0, 0, true),
		} {
			a, _ := checksum.Find(name)
			if got := a.Sum(data); got != want {
				t.Fatalf("%s: %X, not %X", name, got, want)
			}
		}
	})
}

func TestWireOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, _ := checksum.Find(rapid.SampledFrom(checksum.Names()).Draw(t, "name"))
		data := rapid.SliceOf(rapid.Byte()).Draw(t, "data")
		order := rapid.SampledFrom([]checksum.Order{checksum.LowFirst, checksum.HighFirst}).Draw(t, "order")
		wire := a.Append(nil, data, order)
		if len(wire) != a.Size() || a.Read(wire, order) != a.Sum(data) {
			t.Fatalf("%s: % x read as %X", a.Name(), wire, a.Read(wire, order))
		}
	})
}

func TestVariants(t *testing.T) {
	data := []byte("a report of 23 samples")
	modbus, hdlc := find(t, "crc-16/modbus"), find(t, "crc32")
	of := func(name string, data []byte) uint32 { return find(t, name).Sum(data) }
	swapped := func(v uint32) uint32 { return v>>8 | v&0xFF<<8 }
	for _, c := range []struct {
		a      *checksum.Algorithm
		wanted uint32
		want   string
	}{
		{modbus, of("crc-16/arc", data), "CRC-16/ARC"},
		{modbus, swapped(of("crc-16/xmodem", data)), "CRC-16/XMODEM with its bytes in reverse order"},
		{modbus, swapped(modbus.Sum(data)), "CRC-16/MODBUS with its bytes in reverse order"},
		{modbus, modbus.Sum(data[1:]), "CRC-16/MODBUS without the first byte"},
		{modbus, swapped(modbus.Sum(data[1:])), "CRC-16/MODBUS without the first byte with its bytes in reverse order"},
		{modbus, modbus.Sum(data[:len(data)-1]), "CRC-16/MODBUS without the last byte"},
		{hdlc, of("crc-32/bzip2", data), "CRC-32/BZIP2"},
		{hdlc, of("crc-32/mpeg-2", data), "CRC-32/MPEG-2"},
		{hdlc, of("crc-32c", data), "CRC-32C"},
		{hdlc, ^hdlc.Sum(data), "CRC-32/JAMCRC"},
	} {
		if got, ok := c.a.Variant(data, c.wanted); !ok || got != c.want {
			t.Errorf("%q, not %q", got, c.want)
		}
	}
	for _, c := range []struct {
		a      *checksum.Algorithm
		data   []byte
		wanted uint32
	}{
		{modbus, data, 0x1234}, {hdlc, data, 0x12345678}, {hdlc, nil, 5}, {find(t, "sum8"), data, of("xor8", data)},
		{find(t, "none"), data, 0}, {modbus, make([]byte, 1<<17), of("crc-16/arc", make([]byte, 1<<17))},
	} {
		if got, ok := c.a.Variant(c.data, c.wanted); ok {
			t.Errorf("%X of %d bytes was named %q", c.wanted, len(c.data), got)
		}
	}
}

func BenchmarkModbus(b *testing.B) {
	a, data := find(b, "crc-16/modbus"), make([]byte, 256)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		a.Sum(data)
	}
}
