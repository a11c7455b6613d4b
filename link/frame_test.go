package link_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
	"pgregory.net/rapid"
)

// message is what every message of the protocol can do.
type message interface {
	Append(dst []byte, h link.Header) []byte
	Decode(payload []byte) error
}

// emptyMessage returns a message of the kind to decode into, nil for data.
func emptyMessage(k link.Kind) message {
	switch k {
	case link.KindHello:
		return &link.Hello{}
	case link.KindHeartbeat:
		return &link.Heartbeat{}
	case link.KindTimeRequest:
		return &link.TimeRequest{}
	case link.KindOver:
		return &link.Over{}
	case link.KindBye:
		return &link.Bye{}
	case link.KindWelcome:
		return &link.Welcome{}
	case link.KindAck:
		return &link.Ack{}
	case link.KindRefusal:
		return &link.Refusal{}
	case link.KindTimeAnswer:
		return &link.TimeAnswer{}
	case link.KindTurn:
		return &link.Turn{}
	case link.KindGatewayBye:
		return &link.Bye{Gateway: true}
	}
	return nil
}

var someSignals = []link.Signal{{Kind: link.SignalRSSI, Tenths: -735}, {Kind: link.SignalSNR, Tenths: 92}}

// messages returns one message of each kind but data.
func messages() map[link.Kind]message {
	ack := &link.Ack{Epoch: 7, Accepted: 40, Committed: 38, Window: 65536, Count: 2}
	ack.Ranges[0], ack.Ranges[1] = link.Range{First: 42, Last: 44}, link.Range{First: 50, Last: 50}
	return map[link.Kind]message{
		link.KindHello: &link.Hello{
			Oldest: 1, Newest: 1, Features: link.FrameFeatures, Controller: "pump-17", Epoch: 7,
			Token: "pst_secret", Client: "penstock 1.0", Signals: someSignals,
		},
		link.KindHeartbeat:   &link.Heartbeat{Newest: 43, Waiting: 3, Signals: someSignals},
		link.KindTimeRequest: &link.TimeRequest{T1: -5},
		link.KindOver:        &link.Over{Waiting: 300},
		link.KindBye:         &link.Bye{Reason: "stop", Retry: 1500 * time.Millisecond},
		link.KindWelcome: &link.Welcome{
			Version: 1, Features: 1, Flags: link.SameDisk, Epoch: 7, LastEpoch: 7, LastBoot: 12, Accepted: 40, Committed: 38,
			Time: 1795327200123456789, Window: 65536, Largest: 1 << 20, Heartbeat: 30 * time.Second,
		},
		link.KindAck:        ack,
		link.KindRefusal:    &link.Refusal{Epoch: 7, Seq: 41, Verdict: link.Settled, Reason: "range", Text: "flow 9000 is above 500"},
		link.KindTimeAnswer: &link.TimeAnswer{T1: -5, T2: 1795327200123456789, T3: 1795327200123460000},
		link.KindTurn:       &link.Turn{Budget: 512},
		link.KindGatewayBye: &link.Bye{Gateway: true, Reason: "restart"},
	}
}

func TestMessagesSurviveTheFrame(t *testing.T) {
	for kind, m := range messages() {
		for _, features := range []byte{0, link.FeatureCRC32C} {
			b := m.Append([]byte("before"), link.Header{Features: features, Address: 300})[len("before"):]
			f, size, err := link.NextFrame(append(b, "behind"...), link.MaxGreeting)
			if err != nil || size != len(b) {
				t.Fatalf("%v: size %d of %d, error %v", kind, size, len(b), err)
			}
			if f.Kind != kind || f.Features != features || f.Address != 300 {
				t.Errorf("%v came as %+v", kind, f)
			}
			got := emptyMessage(kind)
			if err := got.Decode(f.Payload); err != nil || !reflect.DeepEqual(got, m) {
				t.Errorf("%v: decoded %+v with error %v, want %+v", kind, got, err, m)
			}
			for cut := range len(f.Payload) {
				if err := got.Decode(f.Payload[:cut]); link.FaultOf(err) != link.FaultPayload {
					t.Errorf("%v cut to %d bytes: error %v", kind, cut, err)
				}
			}
			if err := got.Decode(append(bytes.Clone(f.Payload), 0)); link.FaultOf(err) != link.FaultPayload {
				t.Errorf("%v with a byte more: error %v", kind, err)
			}
		}
	}
}

// TestDamageIsFound flips every bit, and every pair of bits, of a frame.
func TestDamageIsFound(t *testing.T) {
	good := (&link.Over{Waiting: 3}).Append(nil, link.Header{Address: 7})
	try := func(b []byte, at ...int) {
		f, size, err := link.NextFrame(b, link.MaxGreeting)
		if err == nil && size > 0 {
			t.Errorf("with bits %v flipped the frame passed as %+v", at, f)
		}
		inHeader := false
		for _, i := range at {
			inHeader = inHeader || i < 80
		}
		if inHeader && (link.FaultOf(err) != link.FaultHeader || size != 0) {
			t.Errorf("with bits %v of the header flipped: size %d, error %v", at, size, err)
		}
	}
	for i := range 8 * len(good) {
		b := bytes.Clone(good)
		b[i/8] ^= 1 << (i % 8)
		try(b, i)
		for j := range i {
			b[j/8] ^= 1 << (j % 8)
			try(b, i, j)
			b[j/8] ^= 1 << (j % 8)
		}
	}
	for n := range 4096 {
		for _, fill := range []byte{0, 0xFF} {
			if _, size, err := link.NextFrame(bytes.Repeat([]byte{fill}, n), link.MaxPayload); err == nil && size > 0 {
				t.Fatalf("%d bytes of 0x%02x are a frame", n, fill)
			}
		}
	}
}

// TestNothingIsTrustedBeforeItsTurn cuts and changes frames and wants the fault
// that comes first.
func TestNothingIsTrustedBeforeItsTurn(t *testing.T) {
	frame := func(version, features, kind byte, n int) []byte {
		return reseal(append([]byte{version, features, kind, 0, 0, byte(n), byte(n >> 8), byte(n >> 16), 0, 0}, make([]byte, n+4)...))
	}
	for name, c := range map[string]struct {
		b     []byte
		fault link.Fault
		size  int
	}{
		"another version, whatever else":      {frame(2, 0xF0, 0x99, 10), link.FaultVersion, 24},
		"length before features":              {frame(1, 0xF0, 0x99, 200), link.FaultLength, 214},
		"a frame too large is not waited for": {frame(1, 0, 2, 200)[:10], link.FaultLength, 214},
		"features before kind":                {frame(1, 2, 0x99, 10), link.FaultFeature, 24},
		"an unknown kind":                     {frame(1, 0, 0x99, 10), link.FaultKind, 24},
		"kind 0":                              {frame(1, 0, 0, 0), link.FaultKind, 14},
	} {
		_, size, err := link.NextFrame(c.b, 100)
		if link.FaultOf(err) != c.fault || size != c.size {
			t.Errorf("%s: size %d, error %v; want size %d, fault %s", name, size, err, c.size, c.fault)
		}
	}
	whole := frame(1, 0, 2, 10)
	for n := range whole {
		if _, size, err := link.NextFrame(whole[:n], 100); size != 0 || err != nil {
			t.Errorf("%d bytes of a frame: size %d, error %v", n, size, err)
		}
	}
}

func TestFaultsHaveCodes(t *testing.T) {
	for fault, want := range map[link.Fault]penstock.Code{
		link.FaultHeader: penstock.Corrupt, link.FaultVersion: penstock.Unsupported, link.FaultLength: penstock.TooLarge,
		link.FaultPayload: penstock.Invalid, link.FaultReplay: penstock.Forbidden,
	} {
		err := fault.Errorf("byte %d", 5)
		if penstock.CodeOf(err) != want || link.FaultOf(err) != fault || err.Error() != "byte 5" {
			t.Errorf("%s: error %q of code %v", fault, err, penstock.CodeOf(err))
		}
	}
	if f := link.FaultOf(io.EOF); f != "" {
		t.Errorf("io.EOF has the fault %q", f)
	}
}

func TestTooLongStringsAreCutBetweenCharacters(t *testing.T) {
	b := (&link.Refusal{Epoch: 1, Seq: 1, Reason: strings.Repeat("x", 99), Text: strings.Repeat("ü", 200)}).Append(nil, link.Header{})
	f, _, err := link.NextFrame(b, link.MaxGreeting)
	if err != nil {
		t.Fatal(err)
	}
	var m link.Refusal
	if err := m.Decode(f.Payload); err != nil || m.Reason != strings.Repeat("x", 32) || m.Text != strings.Repeat("ü", 127) {
		t.Errorf("decoded %+v with error %v", m, err)
	}
}

// anyStream draws frames and what a stream of them is.
func anyStream(t *rapid.T) (frames []link.Frame, stream []byte) {
	kinds := []link.Kind{link.KindHello, link.KindData, link.KindAck, link.KindGatewayBye}
	for range rapid.IntRange(0, 8).Draw(t, "frames") {
		f := link.Frame{
			Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Features: rapid.SampledFrom([]byte{0, 1}).Draw(t, "features"),
			Address: rapid.Uint16().Draw(t, "address"),
			Payload: bytes.Repeat([]byte{rapid.Byte().Draw(t, "fill")}, rapid.SampledFrom([]int{0, 1, 100, 2000, 9000}).Draw(t, "size")),
		}
		frames = append(frames, f)
		stream = link.AppendFrame(stream, f)
	}
	return frames, stream
}

func TestScannerReadsEveryFrame(t *testing.T) {
	readers := map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader, "bytes": iotest.OneByteReader, "with its error": iotest.DataErrReader,
	}
	rapid.Check(t, func(t *rapid.T) {
		frames, stream := anyStream(t)
		for name, reader := range readers {
			s := link.NewScanner(reader(bytes.NewReader(stream)), 70_000)
			for i, want := range frames {
				got, err := s.Next()
				if err != nil || got.Kind != want.Kind || got.Address != want.Address || !bytes.Equal(got.Payload, want.Payload) {
					t.Fatalf("%s: frame %d came as %v with %d bytes and error %v", name, i, got.Kind, len(got.Payload), err)
				}
			}
			if _, err := s.Next(); !errors.Is(err, io.EOF) {
				t.Fatalf("%s: after the last frame: error %v", name, err)
			}
		}
	})
}

func TestScannerTellsACutFrame(t *testing.T) {
	b := (&link.Turn{Budget: 512}).Append(nil, link.Header{})
	s := link.NewScanner(bytes.NewReader(append(bytes.Clone(b), b[:5]...)), 100)
	if s.Ready() {
		t.Error("a frame is ready before anything was read")
	}
	if _, err := s.Next(); err != nil {
		t.Fatal(err)
	}
	if s.Ready() {
		t.Error("half a frame is ready")
	}
	if _, err := s.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("inside a frame: error %v", err)
	}
}

func TestScannerRefusesALargeFrameUnread(t *testing.T) {
	b := link.AppendFrame(nil, link.Frame{Kind: link.KindData, Payload: make([]byte, 2000)})
	s := link.NewScanner(bytes.NewReader(b), 1024)
	if _, err := s.Next(); link.FaultOf(err) != link.FaultLength {
		t.Fatalf("error %v", err)
	}
	s.SetLimit(2000)
	if f, err := s.Next(); err != nil || len(f.Payload) != 2000 {
		t.Errorf("with the larger limit: %d bytes, error %v", len(f.Payload), err)
	}
}

func TestReadHead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyReport().Draw(t, "report")
		b := link.AppendReport(nil, &want)
		h, err := link.ReadHead(append(b, 1, 2, 3))
		if err != nil || string(h.Controller) != want.Controller || h.Identity != want.Identity || h.Size != len(b) {
			t.Fatalf("head %+v, error %v, of %d bytes %+v", h, err, len(b), want)
		}
		if _, err := link.ReadHead(b[:len(b)-1]); err == nil {
			t.Fatal("a report that is cut has a head")
		}
	})
}

// reseal gives a frame that was changed its header check and checksum.
func reseal(b []byte) []byte {
	if len(b) < link.FrameOverhead {
		return b
	}
	binary.LittleEndian.PutUint16(b[8:], dnp(b[:8]))
	table := crc32.IEEETable
	if b[1]&link.FeatureCRC32C != 0 {
		table = crc32.MakeTable(crc32.Castagnoli)
	}
	binary.LittleEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b[:len(b)-4], table))
	return b
}

// dnp is CRC-16/DNP a bit at a time, as the definition has it.
func dnp(b []byte) uint16 {
	var crc uint16
	for _, v := range b {
		crc ^= uint16(v)
		for range 8 {
			odd := crc & 1
			crc >>= 1
			if odd != 0 {
				crc ^= 0xA6BC
			}
		}
	}
	return ^crc
}
