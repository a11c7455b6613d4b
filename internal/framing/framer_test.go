package framing_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/checksum"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/framing"
)

// way is one way of telling frames, with a device that speaks it.
type way struct {
	name   string
	config framing.Config
	encode func(content []byte) []byte
	// longest content, and whether damage can hide a good frame that follows: its
	// own marks may have gone.
	longest int
	marks   bool
}

func sum(name string, data []byte, o checksum.Order) []byte {
	a, ok := checksum.Find(name)
	if !ok {
		panic(name)
	}
	return a.Append(nil, data, o)
}

func ways() []way {
	modbus := func(b []byte) []byte { return append(b, sum("crc-16/modbus", b, checksum.LowFirst)...) }
	return []way{
		{"length", framing.Config{
			Length: &framing.Length{At: 1, Adds: 4}, Start: "\x68", Checksum: &framing.Checksum{Name: "crc-16/modbus"}, Max: 300,
		}, func(c []byte) []byte { return modbus(append([]byte{0x68, byte(len(c))}, c...)) }, 60, false},
		{"length of two bytes, little", framing.Config{
			Length: &framing.Length{At: 0, Size: 2, Order: "little"}, Checksum: &framing.Checksum{Name: "crc-32", Order: "big", From: 2}, Max: 300,
		}, func(c []byte) []byte {
			n := len(c) + 6
			b := append([]byte{byte(n), byte(n >> 8)}, c...)
			return append(b, sum("crc-32", c, checksum.HighFirst)...)
		}, 60, false},
		{"start, end and sum as in FT1.2", framing.Config{
			Length: &framing.Length{At: 1, Adds: 5}, Start: "\x68", End: "\x16", Checksum: &framing.Checksum{Name: "crc-16/dnp", From: 2}, Max: 300,
		}, func(c []byte) []byte {
			b := append([]byte{0x68, byte(len(c))}, c...)
			return append(append(b, sum("crc-16/dnp", c, checksum.LowFirst)...), 0x16)
		}, 60, false},
		{"FT1.2", framing.Config{
			Length: &framing.Length{At: 1, Adds: 6, Repeated: true}, Start: "\x68", End: "\x16", Checksum: &framing.Checksum{Name: "crc-16/arc", From: 4}, Max: 300,
		}, func(c []byte) []byte {
			b := append([]byte{0x68, byte(len(c) + 1), byte(len(c) + 1), 0x68}, c...)
			return append(append(b, sum("crc-16/arc", c, checksum.LowFirst)...), 0x16)
		}, 60, false},
		{"blocks as in DNP3", dnp3(), func(c []byte) []byte {
			return inBlocks("crc-16/dnp", checksum.LowFirst, 8, append([]byte{5, 0x64, byte(len(c) + 5), 0xC4, 1, 0, 4, 0}, c...))
		}, 60, false},
		{"blocks without a head", framing.Config{
			Start: "\x68", Length: &framing.Length{At: 1, Adds: 2}, Checksum: &framing.Checksum{Name: "crc-16/en-13757", Order: "big", Block: 7}, Max: 300,
		}, func(c []byte) []byte {
			return inBlocks("crc-16/en-13757", checksum.HighFirst, 7, append([]byte{0x68, byte(len(c))}, c...))
		}, 60, false},
		{"size", framing.Config{Size: 12, Checksum: &framing.Checksum{Name: "crc-32c"}}, func(c []byte) []byte {
			b := append(c, make([]byte, 8)...)[:8]
			return append(b, sum("crc-32c", b, checksum.LowFirst)...)
		}, 8, false},
		{"line", framing.Config{Delimiter: "\r\n", Checksum: &framing.Checksum{Name: "crc-16/ccitt-false", Order: "big", Hex: true, After: "*"}, Max: 600}, func(c []byte) []byte {
			text := []byte(hex.EncodeToString(c))
			return fmt.Appendf(slices.Clone(text), "*%X\r\n", sum("crc-16/ccitt-false", text, checksum.HighFirst))
		}, 40, true},
		{"between, stuffed", framing.Config{
			Between: &framing.Between{Start: "\x7e", End: "\x7f", Escape: "\x7d", Mask: "\x20"}, Checksum: &framing.Checksum{Name: "crc-16/x-25"}, Max: 600,
		}, func(c []byte) []byte {
			out := []byte{0x7e}
			for _, b := range append(slices.Clone(c), sum("crc-16/x-25", c, checksum.LowFirst)...) {
				if b >= 0x7d && b <= 0x7f {
					out = append(out, 0x7d, b^0x20)
				} else {
					out = append(out, b)
				}
			}
			return append(out, 0x7f)
		}, 40, true},
		{"between, sum behind", framing.Config{
			Between: &framing.Between{Start: "\x02", End: "\x03"}, Checksum: &framing.Checksum{Name: "crc-16/arc", Behind: true}, Max: 600,
		}, func(c []byte) []byte {
			b := append([]byte(hex.EncodeToString(c)), 3)
			return append(append([]byte{2}, b...), sum("crc-16/arc", b, checksum.LowFirst)...)
		}, 40, true},
		{"slip", framing.Config{Stuffing: "slip", Checksum: &framing.Checksum{Name: "crc-16/x-25"}, Max: 600}, func(c []byte) []byte {
			b := append(slices.Clone(c), sum("crc-16/x-25", c, checksum.LowFirst)...)
			b = bytes.ReplaceAll(b, []byte{0xdb}, []byte{0xdb, 0xdd})
			return append(append([]byte{0xc0}, bytes.ReplaceAll(b, []byte{0xc0}, []byte{0xdb, 0xdc})...), 0xc0)
		}, 40, true},
		{"cobs", framing.Config{Stuffing: "cobs", Checksum: &framing.Checksum{Name: "crc-16/x-25"}, Max: 600}, func(c []byte) []byte {
			return append(cobs(append(slices.Clone(c), sum("crc-16/x-25", c, checksum.LowFirst)...)), 0)
		}, 40, true},
	}
}

func dnp3() framing.Config {
	return framing.Config{
		Start: "\x05\x64", Length: &framing.Length{At: 2, Adds: 3}, Checksum: &framing.Checksum{Name: "crc-16/dnp", Head: 8, Block: 16}, Max: 292,
	}
}

// inBlocks puts a checksum behind the head, and behind each block of the rest: of 16
// bytes, or of as many as the head has where that is less.
func inBlocks(name string, o checksum.Order, head int, content []byte) (out []byte) {
	block := 16
	if head == 7 {
		block = 7
	}
	for n := min(head, len(content)); len(content) > 0; n = min(block, len(content)) {
		out = append(append(out, content[:n]...), sum(name, content[:n], o)...)
		content = content[n:]
	}
	return out
}

func cobs(b []byte) []byte {
	var out []byte
	for rest := true; rest; {
		block := b
		if i := bytes.IndexByte(block, 0); i >= 0 {
			block = block[:i]
		}
		block = block[:min(len(block), 254)]
		out = append(append(out, byte(len(block)+1)), block...)
		rest = len(block) < len(b)
		b = b[len(block):]
		if rest && len(block) < 254 {
			b = b[1:]
		}
		if rest && len(b) == 0 && len(block) < 254 {
			out = append(out, 1)
			rest = false
		}
	}
	return out
}

// found is what a framer said of a stream.
type found struct {
	good [][]byte // the frames as they came
	bad  []framing.Frame
}

func (f *found) take(frame framing.Frame) {
	if frame.Event == evidence.Received {
		f.good = append(f.good, bytes.Clone(frame.Bytes))
		return
	}
	frame.Bytes = bytes.Clone(frame.Bytes)
	f.bad = append(f.bad, frame)
}

func newFramer(t interface{ Fatal(...any) }, c framing.Config) *framing.Framer {
	f, err := framing.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// feed feeds a stream in pieces.
func feed(t *rapid.T, f *framing.Framer, stream []byte) (all found) {
	for len(stream) > 0 {
		n := rapid.IntRange(1, len(stream)).Draw(t, "piece")
		f.Feed(stream[:n], all.take)
		stream = stream[n:]
	}
	return all
}

// core returns the frame without what may change and leave it as good: delimiters
// around it, and the case of a checksum's digits.
func core(b []byte) string { return strings.ToUpper(strings.Trim(string(b), "\xc0")) }

// A stream of frames, with noise between and bytes of some of them damaged, gives
// every frame that came whole where frames have their own beginning, all but the
// next one where a mark was damaged, and nothing else.
func TestDamage(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				var stream []byte
				var sent []string
				var must []string
				clean := true   // nothing damaged stands right before
				lender := false // the frame before lost its end, and may find it in the next one's beginning
				for range rapid.IntRange(1, 12).Draw(t, "frames") {
					frame := w.encode(rapid.SliceOfN(rapid.Byte(), 1, w.longest).Draw(t, "content"))
					whole := core(frame)
					kind := rapid.SampledFrom([]string{"whole", "whole", "whole", "flipped", "cut", "noise before"}).Draw(t, "kind")
					switch kind {
					case "flipped":
						at := rapid.IntRange(0, len(frame)-1).Draw(t, "at")
						frame[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
						clean, lender = false, false
					case "cut":
						from := rapid.IntRange(0, len(frame)-1).Draw(t, "from")
						to := rapid.IntRange(from+1, len(frame)).Draw(t, "to")
						lender = true
						frame = slices.Delete(frame, from, to)
						clean = false
					case "noise before":
						stream = append(stream, rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "noise")...)
						clean = false
						fallthrough
					default:
						if clean || !w.marks && !lender {
							must = append(must, whole)
						}
						clean, lender = true, false
					}
					sent = append(sent, whole) // damage that leaves the content as it was is none
					stream = append(stream, frame...)
				}
				// What claims to be long waits for its bytes: let them come.
				stream = append(stream, bytes.Repeat([]byte{0xA5}, 700)...)
				var all found
				f := newFramer(t, w.config)
				all = feed(t, f, stream)
				f.Idle(all.take)
				checkFound(t, all, sent, must)
			})
		})
	}
}

// checkFound checks that all of must were found, in order, and none that was not
// sent.
func checkFound(t *rapid.T, all found, sent, must []string) {
	next, due := 0, 0
	for _, frame := range all.good {
		i := slices.Index(sent[next:], core(frame))
		if i < 0 {
			t.Fatalf("% x was taken for a frame", frame)
		}
		next += i + 1
		if due < len(must) && must[due] == core(frame) {
			due++
		}
	}
	if due < len(must) {
		t.Fatalf("%d of %d frames were found: % x is missing", due, len(must), must[due])
	}
	for _, bad := range all.bad {
		if bad.Why == "" || len(bad.Bytes) == 0 || bad.Event != evidence.Checksum && bad.Event != evidence.Framing {
			t.Fatalf("%+v", bad)
		}
	}
}

// A pause in the middle of a frame loses nothing, and behind a false begin it
// finds what is whole.
func TestPauses(t *testing.T) {
	for _, w := range ways() {
		f := newFramer(t, w.config)
		frame := w.encode([]byte("12345678"))
		for cut := 1; cut < len(frame); cut++ {
			var all found
			f.Feed(frame[:cut], all.take)
			f.Idle(all.take)
			f.Feed(frame[cut:], all.take)
			f.Idle(all.take)
			if len(all.good) != 1 {
				t.Errorf("%s: after a pause at byte %d, %d frames: %+v", w.name, cut, len(all.good), all.bad)
			}
		}
	}
	w := ways()[0]
	f := newFramer(t, w.config)
	var all found
	f.Feed(append([]byte{0x68, 0xF0}, w.encode([]byte("good"))...), all.take)
	if len(all.good) != 0 {
		t.Fatal("it did not wait")
	}
	if f.Idle(all.take); len(all.good) != 1 || len(all.bad) != 1 || len(all.bad[0].Bytes) != 2 {
		t.Errorf("%+v", all)
	}
	plain := newFramer(t, framing.Config{Size: 4})
	all = found{}
	plain.Feed([]byte("abc"), all.take)
	plain.Idle(all.take)
	plain.Feed([]byte("defg"), all.take)
	if len(all.good) != 1 || string(all.good[0]) != "defg" || len(all.bad) != 1 {
		t.Errorf("without a checksum a pause is what there is: %+v", all)
	}
}

func TestBodies(t *testing.T) {
	for _, c := range []struct {
		config framing.Config
		stream string
		want   []string
	}{
		{framing.Config{Delimiter: "\n"}, "a\nbc\n\nd\n", []string{"a", "bc", "d"}},
		{framing.Config{Between: &framing.Between{Start: "$", End: "\r\n"}, Checksum: &framing.Checksum{Name: "xor8", Hex: true, After: "*"}},
			"$GPGGA,1*4B\r\n$X*58\r\n", []string{"GPGGA,1", "X"}},
		{framing.Config{Between: &framing.Between{Start: "\x10\x02", End: "\x10\x03", Escape: "\x10"}}, "\x10\x02a\x10\x10b\x10\x03", []string{"a\x10b"}},
		{framing.Config{Between: &framing.Between{Start: "<", End: ">"}}, "<cut<whole>", []string{"whole"}},
		{framing.Config{Length: &framing.Length{At: 1, Adds: 6}, Start: "\x68", End: "\x16", Checksum: &framing.Checksum{Name: "sum8", From: 4}},
			"\x68\x03\x03\x68\x08\x01\x72\x7b\x16", []string{"\x68\x03\x03\x68\x08\x01\x72"}},
		{framing.Config{Size: 3, Start: "#"}, "x#ab#cd", []string{"#ab", "#cd"}},
		{framing.Config{Stuffing: "slip"}, "\xc0a\xdb\xdc\xc0\xc0b\xc0", []string{"a\xc0", "b"}},
		{framing.Config{Stuffing: "cobs"}, "\x02a\x02b\x00\x01\x01\x00", []string{"a\x00b", "\x00"}},
	} {
		var got []string
		newFramer(t, c.config).Feed([]byte(c.stream), func(f framing.Frame) {
			if f.Event == evidence.Received {
				got = append(got, string(f.Body))
			}
		})
		if !slices.Equal(got, c.want) {
			t.Errorf("%q gives %q, not %q", c.stream, got, c.want)
		}
	}
}

// TestKnownFrames holds what is cut against frames of the standards and of others'
// programs: DNP3, wireless M-Bus in format A, M-Bus and IEC 60870-5-101.
func TestKnownFrames(t *testing.T) {
	wireless := framing.Config{
		Length: &framing.Length{At: 0, Adds: 1}, Checksum: &framing.Checksum{Name: "crc-16/en-13757", Order: "big", Head: 10, Block: 16},
	}
	ft12 := framing.Config{
		Start: "\x68", Length: &framing.Length{At: 1, Adds: 6, Repeated: true}, Checksum: &framing.Checksum{Name: "sum8", From: 4}, End: "\x16",
	}
	for _, c := range []struct {
		name   string
		config framing.Config
		stream string
		want   []string
	}{
		{"DNP3, a head alone", dnp3(), "056405C001000004E921", []string{"056405C001000004"}},
		{"DNP3, a read of the four classes", dnp3(), "FF056414F3010000040A3BC0C3013C02063C03063C04063C01069A12056405C001000004E921",
			[]string{"056414F301000004C0C3013C02063C03063C04063C0106", "056405C001000004"}},
		{"wireless M-Bus", wireless, "0F44AE0C78563412010744 47780B134365871E6D", []string{"0F44AE0C785634120107780B13436587"}},
		{"M-Bus", ft12, "680303685301 51A516", []string{"68030368530151"}},
		{"a false start before a true one", ft12, "68036868 680303685301 51A516", []string{"68030368530151"}},
	} {
		stream, err := hex.DecodeString(strings.ReplaceAll(c.stream, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		newFramer(t, c.config).Feed(stream, func(f framing.Frame) {
			if f.Event == evidence.Received {
				got = append(got, strings.ToUpper(hex.EncodeToString(f.Body)))
			}
		})
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
	}
}

// TestDamagedBlockIsNamed: a bit in the head costs no more than the head, and one
// behind it names its block.
func TestDamagedBlockIsNamed(t *testing.T) {
	for at, want := range map[int]string{3: "head: the CRC-16/DNP is ", 10: "block 1: the CRC-16/DNP is ", 30: "block 2: the CRC-16/DNP is "} {
		frame := ways()[4].encode(bytes.Repeat([]byte("x"), 20))
		next := ways()[4].encode([]byte("y"))
		frame[at] ^= 1
		var all found
		newFramer(t, dnp3()).Feed(append(frame, next...), all.take)
		if len(all.bad) == 0 || all.bad[0].Event != evidence.Checksum || !strings.HasPrefix(all.bad[0].Why, want) || len(all.good) != 1 {
			t.Errorf("byte %d: %+v", at, all)
		}
	}
	var all found
	late := dnp3()
	late.Max = 1000
	newFramer(t, late).Feed([]byte("\x05\x64\xff\xc4\x01\x00\x04\x00\x00\x00\x05\x64"), all.take)
	if len(all.bad) == 0 {
		t.Error("a length in a head that does not hold is believed")
	}
}

// A device with another CRC is told from a bad cable.
func TestWrongVariantIsNamed(t *testing.T) {
	w := ways()[0]
	wrong := w.config
	wrong.Checksum = &framing.Checksum{Name: "crc-16/arc"}
	var all found
	newFramer(t, wrong).Feed(w.encode([]byte("a report of a meter")), all.take)
	if len(all.bad) == 0 || all.bad[0].Why != "fails CRC-16/ARC but passes CRC-16/MODBUS: a setting, not the cable" || all.bad[0].Event != evidence.Checksum {
		t.Errorf("%+v", all.bad)
	}
	all = found{}
	frame := w.encode([]byte("a report of a meter"))
	frame[5] ^= 4
	f := newFramer(t, w.config)
	f.Feed(frame, all.take)
	if len(all.bad) != 1 || !strings.HasPrefix(all.bad[0].Why, "the CRC-16/MODBUS is ") || !bytes.Equal(all.bad[0].Bytes, frame) {
		t.Errorf("%+v", all.bad)
	}
}

// No input makes a framer keep more than two frames.
func TestMemoryIsBounded(t *testing.T) {
	for _, w := range ways() {
		f := newFramer(t, w.config)
		for _, filler := range []byte{0, 0x68, 0x7d, 0x7e, 2, 'a'} {
			for range 5 {
				f.Feed(bytes.Repeat([]byte{filler}, 1000), func(framing.Frame) {})
				if f.Pending() > 2*w.config.Max+1024 {
					t.Fatalf("%s: %d bytes wait", w.name, f.Pending())
				}
			}
		}
	}
}

func TestMistakes(t *testing.T) {
	for want, c := range map[string]framing.Config{
		"length: exactly one":        {},
		"of them do":                 {Size: 3, Delimiter: "x"},
		"max: ":                      {Size: 3, Max: -1},
		"size: 3 is not":             {Size: 3, Max: 2},
		"start: goes with":           {Delimiter: "x", Start: "y"},
		"start: has 17":              {Size: 30, Start: framing.Octets(strings.Repeat("x", 17))},
		"stuffing: ":                 {Stuffing: "slop"},
		"length.size":                {Length: &framing.Length{Size: 5}},
		"length.at":                  {Length: &framing.Length{At: 0}, Start: "x"},
		"length.adds":                {Length: &framing.Length{Adds: 1 << 20}},
		"length.order":               {Length: &framing.Length{Order: "ABCD"}},
		"between: ":                  {Between: &framing.Between{End: "x"}},
		"between.escape":             {Between: &framing.Between{Start: "a", End: "x", Escape: "ab"}},
		"between.mask":               {Between: &framing.Between{Start: "a", End: "x", Mask: "a"}},
		"did you mean crc-16/modbus": {Size: 3, Checksum: &framing.Checksum{Name: "crc-16/modbuss"}},
		"checksum.order":             {Size: 3, Checksum: &framing.Checksum{Name: "sum8", Order: "x"}},
		"checksum.from":              {Size: 3, Checksum: &framing.Checksum{Name: "sum8", From: -1}},
		"checksum.behind":            {Size: 3, Checksum: &framing.Checksum{Name: "sum8", Behind: true}},
		"head and block go with":     {Size: 3, Checksum: &framing.Checksum{Name: "crc-16/dnp", Block: 16}},
		"are no numbers":             {Length: &framing.Length{}, Checksum: &framing.Checksum{Name: "crc-16/dnp", Block: -1}},
		"checksum.head: the length":  {Length: &framing.Length{At: 8}, Checksum: &framing.Checksum{Name: "crc-16/dnp", Head: 8}},
		"none of hex, after":         {Length: &framing.Length{}, Checksum: &framing.Checksum{Name: "crc-16/dnp", Head: 8, Hex: true}},
		"checksum.after":             {Size: 3, Checksum: &framing.Checksum{Name: "sum8", After: framing.Octets(strings.Repeat("x", 17))}},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, not %q", c, err, want)
		}
	}
	var o framing.Octets
	for text, want := range map[string]framing.Octets{"0x0D0a": "\r\n", "$": "$", "\n": "\n", "": ""} {
		if err := o.UnmarshalText([]byte(text)); err != nil || o != want {
			t.Errorf("%q is %q, %v", text, o, err)
		}
		printed, _ := o.MarshalText()
		if err := o.UnmarshalText(printed); err != nil || o != want {
			t.Errorf("%q is printed as %q", want, printed)
		}
	}
	for _, text := range []string{"0x", "0x1", "0xzz"} {
		if err := o.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %q", text, o)
		}
	}
}

// However a stream is cut into pieces, its good frames are the same, and every
// byte is accounted for once at most.
func FuzzFramer(f *testing.F) {
	all := ways()
	for i, w := range all {
		f.Add(uint8(i), append(w.encode([]byte("abc")), w.encode([]byte{0, 0x7e, 0xc0, 2, 3, 0x68})...), uint8(3))
	}
	f.Fuzz(func(t *testing.T, which uint8, stream []byte, piece uint8) {
		w := all[int(which)%len(all)]
		var once, parts found
		a := newFramer(t, w.config)
		a.Feed(stream, once.take)
		b := newFramer(t, w.config)
		for p := range slices.Chunk(stream, int(piece)+1) {
			b.Feed(p, parts.take)
		}
		if !slices.EqualFunc(once.good, parts.good, bytes.Equal) {
			t.Fatalf("%q at once, %q in pieces", once.good, parts.good)
		}
		a.Idle(once.take)
	})
}
