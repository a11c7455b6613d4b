package serialport_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/serialport"
)

// What a driver marks must come out as it was on the wire, however the reads cut
// the stream.
func TestMarksAreTakenOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream, want []byte
		var marks serialport.Marks
		for range rapid.IntRange(0, 60).Draw(t, "events") {
			c := rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte{0, 0xFF})).Draw(t, "byte")
			switch rapid.SampledFrom([]string{"byte", "damaged", "break"}).Draw(t, "event") {
			case "byte":
				stream, want = append(stream, c), append(want, c)
				if c == 0xFF {
					stream = append(stream, c)
				}
			case "damaged":
				c = max(c, 1) // a damaged 0 looks like a break
				stream, want = append(stream, 0xFF, 0, c), append(want, c)
				marks.Damaged++
			case "break":
				stream = append(stream, 0xFF, 0, 0)
				marks.Breaks++
			}
		}
		p := serialport.OpenFake(serialport.Config{}, &serialport.Fake{Reader: &chopped{t, stream}})
		var got []byte
		buffer := make([]byte, rapid.IntRange(1, 9).Draw(t, "buffer"))
		for {
			n, err := p.Read(buffer)
			got = append(got, buffer[:n]...)
			if err != nil {
				break
			}
			if n == 0 {
				t.Fatal("a read returned neither bytes nor an error")
			}
		}
		if !bytes.Equal(got, want) || p.Marks() != marks {
			t.Fatalf("% x became % x with %+v, want % x with %+v", stream, got, p.Marks(), want, marks)
		}
	})
}

// chopped reads a stream in pieces of any length.
type chopped struct {
	t    *rapid.T
	left []byte
}

func (c *chopped) Read(b []byte) (int, error) {
	if len(c.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:rapid.IntRange(1, len(b)).Draw(c.t, "piece")], c.left)
	c.left = c.left[n:]
	return n, nil
}

func TestFaultsPreferTheDriversCounters(t *testing.T) {
	f := &serialport.Fake{Now: serialport.Counters{Framing: 7, Parity: 1<<32 - 1}}
	p := serialport.OpenFake(serialport.Config{}, f)
	f.Now = serialport.Counters{Framing: 9, Parity: 1, Breaks: 1, Overrun: 2, BufferOverrun: 3}
	want := serialport.Faults{Framing: 2, Parity: 2, Breaks: 1, Overrun: 5, Counted: true}
	if got := p.Faults(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := p.Faults(); got != (serialport.Faults{Counted: true}) {
		t.Errorf("told twice: %+v", got)
	}
}

func TestFaultsWithoutCountersAreTheMarks(t *testing.T) {
	stream := []byte{0xFF, 0, 'a', 0xFF, 0, 0, 'b', 0xFF, 0, 'c'}
	for _, c := range []struct {
		parity serialport.Parity
		want   serialport.Faults
	}{
		{serialport.NoParity, serialport.Faults{Framing: 2, Breaks: 1}},
		{serialport.EvenParity, serialport.Faults{Parity: 2, Breaks: 1}},
	} {
		f := &serialport.Fake{Reader: iotest.OneByteReader(bytes.NewReader(stream)), None: errors.New("not a counter")}
		p := serialport.OpenFake(serialport.Config{Parity: c.parity}, f)
		if _, counts := p.Counters(); counts {
			t.Error("counters that do not exist were read")
		}
		if got, err := io.ReadAll(io.LimitReader(p, 3)); err != nil || !slices.Equal(got, []byte("abc")) {
			t.Fatalf("%q, %v", got, err)
		}
		if got := p.Faults(); got != c.want {
			t.Errorf("parity %s: %+v, want %+v", c.parity, got, c.want)
		}
	}
}
