package seal_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/seal"
	"pgregory.net/rapid"
)

type hexBytes []byte

func (h *hexBytes) UnmarshalText(b []byte) error {
	*h = make([]byte, hex.DecodedLen(len(b)))
	_, err := hex.Decode(*h, b)
	return err
}

type vector struct {
	Name           string
	KeyID          hexBytes `json:"key_id"`
	Secret         hexBytes
	FromGateway    bool `json:"from_gateway"`
	Question       bool
	Boot           uint64 `json:",string"`
	Counter        uint32
	ControllerBoot uint64 `json:"controller_boot,string"`
	Frames         hexBytes
	Datagram       hexBytes
	Error          string
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile("../testdata/vectors/sealed.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Datagrams []vector }
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all.Datagrams
}

func (v vector) key(t testing.TB) *seal.Key {
	t.Helper()
	k, err := seal.NewKey(seal.KeyID(v.KeyID), v.Secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// open opens the vector's datagram as its receiver would.
func (v vector) open(t testing.TB) ([]byte, error) {
	if !v.FromGateway {
		frames, _, err := seal.NewGateway(v.key(t), 1).Open(nil, v.Datagram)
		return frames, err
	}
	if v.ControllerBoot>>63 != 0 {
		return seal.NewQuestion(v.key(t), v.ControllerBoot).Open(nil, v.Datagram)
	}
	c, err := seal.NewController(v.key(t), v.ControllerBoot)
	if err != nil {
		t.Fatal(err)
	}
	return c.Open(nil, v.Datagram)
}

// TestVectors holds the sealing to the frozen examples.
func TestVectors(t *testing.T) {
	for _, v := range readVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			frames, err := v.open(t)
			if string(link.FaultOf(err)) != v.Error || !bytes.Equal(frames, v.Frames) {
				t.Fatalf("opened %x with error %v, want %x and %q", frames, err, v.Frames, v.Error)
			}
			if v.Error != "" {
				return
			}
			h, err := seal.Parse(v.Datagram)
			want := seal.Header{Key: seal.KeyID(v.KeyID), Boot: v.Boot, Counter: v.Counter, Question: v.Question, FromGateway: v.FromGateway}
			if err != nil || h != want {
				t.Errorf("header %+v, error %v; want %+v", h, err, want)
			}
			if !seal.IsSealed(v.Datagram) || seal.IsSealed(v.Frames) {
				t.Error("the first byte does not tell a datagram from a frame")
			}
			if !v.FromGateway && v.Counter == 0 && !v.Question {
				c, err := seal.NewController(v.key(t), v.Boot)
				if err != nil {
					t.Fatal(err)
				}
				if again := c.Seal(nil, v.Frames); !bytes.Equal(again, v.Datagram) {
					t.Errorf("sealed again it is %x", again)
				}
			}
		})
	}
}

func newEnds(t testing.TB, boot uint64) (*seal.Controller, *seal.Gateway) {
	t.Helper()
	key, err := seal.NewKey(seal.KeyID{9}, bytes.Repeat([]byte{7}, seal.SecretSize))
	if err != nil {
		t.Fatal(err)
	}
	c, err := seal.NewController(key, boot)
	if err != nil {
		t.Fatal(err)
	}
	return c, seal.NewGateway(key, 77)
}

// TestEachDatagramOpensOnce brings datagrams in any order, and again.
func TestEachDatagramOpensOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key, err := seal.NewKey(seal.KeyID{9}, make([]byte, seal.SecretSize))
		if err != nil {
			t.Fatal(err)
		}
		c, err := seal.NewController(key, 5)
		if err != nil {
			t.Fatal(err)
		}
		g := seal.NewGateway(key, 77)
		var datagrams [][]byte
		opened := map[int]bool{}
		highest := -1
		for range rapid.IntRange(1, 900).Draw(t, "steps") {
			if len(datagrams) == 0 || rapid.Bool().Draw(t, "new") {
				datagrams = append(datagrams, c.Seal(nil, []byte{byte(len(datagrams))}))
				continue
			}
			i := len(datagrams) - 1 - rapid.IntRange(0, min(len(datagrams)-1, 400)).Draw(t, "back")
			frames, a, err := g.Open(nil, datagrams[i])
			fresh := !opened[i] && highest-i < 256
			switch {
			case fresh && (err != nil || len(frames) != 1 || frames[0] != byte(i)):
				t.Fatalf("datagram %d with %d the highest: %x, error %v", i, highest, frames, err)
			case fresh && a != seal.Arrival{Newest: i > highest, Restart: highest < 0, Boot: 5}:
				t.Fatalf("datagram %d with %d the highest: %+v", i, highest, a)
			case !fresh && link.FaultOf(err) != link.FaultReplay:
				t.Fatalf("datagram %d again, with %d the highest: error %v", i, highest, err)
			}
			opened[i] = opened[i] || fresh
			highest = max(highest, i)
		}
	})
}

func TestAForgedDatagramChangesNothing(t *testing.T) {
	c, g := newEnds(t, 5)
	later, _ := newEnds(t, 6)
	forged := later.Seal(nil, []byte("x"))
	forged[len(forged)-1] ^= 1
	if _, _, err := g.Open(nil, forged); link.FaultOf(err) != link.FaultSeal {
		t.Fatalf("forged: error %v", err)
	}
	if _, a, err := g.Open(nil, c.Seal(nil, []byte("y"))); err != nil || !a.Restart || g.LastBoot() != 5 {
		t.Errorf("after a forged one of a later boot: %+v, error %v", a, err)
	}
}

func TestAnOlderBootIsRefused(t *testing.T) {
	old, g := newEnds(t, 5)
	kept := old.Seal(nil, []byte("x"))
	c, _ := newEnds(t, 6)
	if _, a, err := g.Open(nil, c.Seal(nil, nil)); err != nil || !a.Restart || !a.Newest {
		t.Fatalf("a new boot: %+v, error %v", a, err)
	}
	if _, _, err := g.Open(nil, kept); link.FaultOf(err) != link.FaultReplay {
		t.Errorf("of the boot before: error %v", err)
	}
	if _, err := old.Open(nil, g.Seal(nil, []byte("z"))); link.FaultOf(err) != link.FaultSeal {
		t.Errorf("an answer to the new boot opened for the old one: error %v", err)
	}
}

func TestAnswersOpenOnceAndComeFromManyNodes(t *testing.T) {
	c, _ := newEnds(t, 5)
	key, err := seal.NewKey(seal.KeyID{9}, bytes.Repeat([]byte{7}, seal.SecretSize))
	if err != nil {
		t.Fatal(err)
	}
	hello := c.Seal(nil, nil)
	for node := range uint64(6) {
		g := seal.NewGateway(key, 1000+node)
		if _, _, err := g.Open(nil, hello); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			d := g.Seal(nil, []byte("ack"))
			if frames, err := c.Open(nil, d); err != nil || string(frames) != "ack" {
				t.Fatalf("node %d: %q, error %v", node, frames, err)
			}
			if _, err := c.Open(nil, d); link.FaultOf(err) != link.FaultReplay {
				t.Errorf("node %d: again: error %v", node, err)
			}
		}
	}
}

func TestReflectionIsRefused(t *testing.T) {
	c, g := newEnds(t, 5)
	d := c.Seal(nil, []byte("x"))
	if _, err := c.Open(nil, d); link.FaultOf(err) != link.FaultSeal {
		t.Errorf("sent back to the controller: error %v", err)
	}
	if _, _, err := g.Open(nil, d); err != nil {
		t.Fatal(err)
	}
	if _, _, err := g.Open(nil, g.Seal(nil, []byte("y"))); link.FaultOf(err) != link.FaultSeal {
		t.Errorf("sent back to the gateway: error %v", err)
	}
}

func TestAQuestionChangesNoSession(t *testing.T) {
	c, g := newEnds(t, 5)
	if _, _, err := g.Open(nil, c.Seal(nil, nil)); err != nil {
		t.Fatal(err)
	}
	key, err := seal.NewKey(seal.KeyID{9}, bytes.Repeat([]byte{7}, seal.SecretSize))
	if err != nil {
		t.Fatal(err)
	}
	q := seal.NewQuestion(key, rand.Uint64())
	frames, a, err := g.Open(nil, q.Seal(nil, []byte("hello")))
	if err != nil || string(frames) != "hello" || !a.Question || a.Newest || a.Restart || g.LastBoot() != 5 {
		t.Fatalf("%q, %+v, last boot %d, error %v", frames, a, g.LastBoot(), err)
	}
	if got, err := q.Open(nil, g.SealAnswer(nil, a, []byte("welcome"))); err != nil || string(got) != "welcome" {
		t.Errorf("the answer: %q, error %v", got, err)
	}
	if got, err := c.Open(nil, g.Seal(nil, []byte("ack"))); err != nil || string(got) != "ack" {
		t.Errorf("the session goes on: %q, error %v", got, err)
	}
}

// TestNoNonceTwice looks at the nonces of both sides of one key.
func TestNoNonceTwice(t *testing.T) {
	c, g := newEnds(t, 77) // the boot of the gateway, as it happens
	seen := map[string]bool{}
	note := func(d []byte) {
		if nonce := string(d[10:22]); seen[nonce] {
			t.Fatalf("nonce %x twice", nonce)
		} else {
			seen[nonce] = true
		}
	}
	for range 1000 {
		d := c.Seal(nil, nil)
		note(d)
		if _, _, err := g.Open(nil, d); err != nil {
			t.Fatal(err)
		}
		note(g.Seal(nil, nil))
	}
}

func TestLimits(t *testing.T) {
	key, err := seal.NewKey(seal.KeyID{}, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, boot := range []uint64{0, penstock.MaxSequence + 1} {
		if _, err := seal.NewController(key, boot); penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("boot %d: error %v", boot, err)
		}
	}
	if _, err := seal.NewKey(seal.KeyID{}, make([]byte, 16)); penstock.CodeOf(err) != penstock.Invalid {
		t.Errorf("a secret of 16 bytes: error %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	for _, v := range readVectors(f) {
		f.Add([]byte(v.Datagram))
	}
	v := readVectors(f)[0]
	f.Fuzz(func(t *testing.T, b []byte) {
		frames, _, err := seal.NewGateway(v.key(t), 1).Open(nil, b)
		if err != nil && len(frames) != 0 {
			t.Fatalf("%x came out of a datagram that does not open", frames)
		}
	})
}

func BenchmarkSealAndOpen(b *testing.B) {
	c, g := newEnds(b, 5)
	frames := make([]byte, 1000)
	var d, out []byte
	b.ReportAllocs()
	b.SetBytes(int64(len(frames)))
	for b.Loop() {
		d = c.Seal(d[:0], frames)
		var err error
		if out, _, err = g.Open(out[:0], d); err != nil {
			b.Fatal(err)
		}
	}
}
