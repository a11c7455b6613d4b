package carrier_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"strconv"
	"testing"

	"github.com/penstock/penstock/client/carrier"
	"github.com/penstock/penstock/link"
)

// tape is a line of which everything is known before.
type tape struct {
	in  bytes.Reader
	out bytes.Buffer
}

func (l *tape) Read(b []byte) (int, error)  { return l.in.Read(b) }
func (l *tape) Write(b []byte) (int, error) { return l.out.Write(b) }
func (l *tape) Close() error                { return nil }

type lineVector struct {
	Name        string
	KeyID       string `json:"key_id"`
	Secret      string
	FromGateway bool `json:"from_gateway"`
	Boot        string
	Frame, Line string
	Error       string
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The frozen examples of a sealed line are said and heard so.
func TestLineVectors(t *testing.T) {
	raw, err := os.ReadFile("../../link/testdata/vectors/lines.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct{ Lines []lineVector }
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	var heard, want [][]byte
	var line tape
	var in []byte
	for _, v := range vectors.Lines {
		if v.FromGateway {
			in = append(in, unhex(t, v.Line)...)
			if v.Error == "" {
				want = append(want, unhex(t, v.Frame))
			}
		}
	}
	line.in.Reset(in)
	first := vectors.Lines[0]
	key, err := carrier.ParseKey(first.KeyID + ":" + first.Secret)
	if err != nil {
		t.Fatal(err)
	}
	boot, err := strconv.ParseUint(first.Boot, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	c, err := carrier.OpenSerial(&line, &key, boot)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors.Lines {
		if v.FromGateway {
			continue
		}
		line.out.Reset()
		if err := c.Send(unhex(t, v.Frame)); err != nil || !bytes.Equal(line.out.Bytes(), unhex(t, v.Line)) {
			t.Errorf("%s: said %x, %v", v.Name, line.out.Bytes(), err)
		}
	}
	for {
		f, err := c.Receive()
		if err != nil {
			if err != io.EOF {
				t.Error(err)
			}
			break
		}
		heard = append(heard, link.AppendFrame(nil, f))
	}
	if len(heard) != len(want) {
		t.Fatalf("%d frames were heard, not %d", len(heard), len(want))
	}
	for i := range want {
		if !bytes.Equal(heard[i], want[i]) {
			t.Errorf("frame %d is %x, not %x", i, heard[i], want[i])
		}
	}
}

// In the clear all frames of the gateway are taken, and those of other controllers are
// not.
func TestALineInTheClear(t *testing.T) {
	turn, over := link.Turn{Budget: 9}, link.Over{}
	var said tape
	c, err := carrier.OpenSerial(&said, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	frames := append(over.Append(nil, link.Header{Address: 1}), turn.Append(nil, link.Header{Address: 1})...)
	if err := c.Send(frames); err != nil {
		t.Fatal(err)
	}
	said.in.Reset(append([]byte("\x00noise\x00"), said.out.Bytes()...))
	if f, err := c.Receive(); err != nil || f.Kind != link.KindTurn {
		t.Errorf("heard %v, %v", f.Kind, err)
	}
	if _, err := c.Receive(); err != io.EOF {
		t.Errorf("the end is %v", err)
	}
	if _, err := carrier.OpenSerial(&said, &carrier.Key{}, 1); err == nil {
		t.Error("a key without a secret is taken")
	}
}
