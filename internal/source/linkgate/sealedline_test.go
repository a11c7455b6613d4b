package linkgate_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/linkgate"
	"github.com/penstock/penstock/internal/testkit/impair"
	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/seal"
)

// board has a key for each controller.
type board struct {
	mu      sync.Mutex // guards revoked
	revoked map[uint64]bool
}

var holders = []string{"pump-1", "pump-2", "pump-3"}

func secretOf(id uint64) []byte { return bytes.Repeat([]byte{byte(id)}, seal.SecretSize) }

func keyID(id uint64) seal.KeyID {
	var k seal.KeyID
	binary.BigEndian.PutUint64(k[:], id)
	return k
}

// Key implements source.Keys: the key with the number n is that of the n-th holder.
func (b *board) Key(id uint64) ([]byte, *penstock.Principal, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if id < 1 || id > uint64(len(holders)) || b.revoked[id] {
		return nil, nil, penstock.Errorf(penstock.Unauthenticated, "no such key")
	}
	return secretOf(id), &penstock.Principal{Credential: "key", Scope: penstock.Scope{holders[id-1]}}, nil
}

func (b *board) revoke(id uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.revoked[id] = true
}

func key(t *testing.T, id uint64, secret []byte) *seal.Key {
	t.Helper()
	k, err := seal.NewKey(keyID(id), secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sealOf(t *testing.T, id, boot uint64) *seal.Controller {
	t.Helper()
	c, err := seal.NewController(key(t, id, secretOf(id)), boot)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newSealedDrop(t *testing.T, p impair.Profile, names ...string) (*drop, *board) {
	keys := &board{revoked: map[uint64]bool{}}
	return newDropOf(t, p, func(c *linkgate.SerialConfig, env *source.Env) {
		c.Sealed, env.Keys = true, keys
	}, names...), keys
}

// sealed puts a controller with n reports on the line, which seals them.
func (d *drop) sealed(t *testing.T, id, boot, n uint64) *station {
	t.Helper()
	name := holders[id-1]
	return d.join(t, newSealedStation(name, uint16(id), [2]uint64{n, 0}, sealOf(t, id, boot)), name, n)
}

// Over a bad line everything comes once, sealed.
func TestASealedLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := newSealedDrop(t, impair.Profile{BitErrors: 1e-4, Noise: 0.05, Cut: 0.02, Duplicate: 0.02, Loss: 0.01, Seed: 5}, "pump-1", "pump-2")
		const n = 200
		d.sealed(t, 1, 1000, n)
		d.sealed(t, 2, 1000, n)
		d.delivered(t, time.Hour, map[string]uint64{"pump-1": n, "pump-2": n})
		d.stop()
		d.sound(t)
	})
}

// A restart of the controller, with a higher boot, begins a new session at once.
func TestASealedControllerStartsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, keys := newSealedDrop(t, impair.Profile{}, "pump-1")
		s := d.sealed(t, 1, 1000, 20)
		d.delivered(t, time.Minute, map[string]uint64{"pump-1": 20})
		d.bus.leave(s)
		s = d.sealed(t, 1, 1001, 40)
		d.delivered(t, time.Minute, map[string]uint64{"pump-1": 40})
		d.bus.leave(s)
		keys.revoke(1)
		d.sealed(t, 1, 1002, 60)
		time.Sleep(time.Minute)
		if n := len(d.desk.Accepted()); n != 40 {
			t.Errorf("%d reports were accepted under a key that was revoked", n-40)
		}
		if d.book.Port("test").Counted(evidence.Refused) == 0 {
			t.Error("the refusal is not in the evidence")
		}
		d.stop()
		d.sound(t)
	})
}

// What is in the clear, under a wrong key or one of another, or was heard before, is
// not taken, and is in the evidence with the reason.
func TestASealedLineTakesNothingElse(t *testing.T) {
	data := func(name string, address uint16) []byte {
		return link.AppendData(nil, link.Header{Address: address}, link.AppendReport(nil, content(name, 1)))
	}
	over := link.Over{}
	ask := link.Heartbeat{}
	for name, c := range map[string]struct {
		block func(t *testing.T) []byte
		why   string
		event evidence.Event
	}{
		"in the clear":         {func(*testing.T) []byte { return data("pump-1", 1) }, "in the clear", evidence.Checksum},
		"an over in the clear": {func(*testing.T) []byte { return over.Append(nil, link.Header{Address: 1}) }, "in the clear", evidence.Checksum},
		"another's key":        {func(t *testing.T) []byte { return sealOf(t, 3, 9).Seal(nil, data("pump-1", 1)) }, "is not one of pump-1", evidence.Refused},
		"a key of nobody":      {func(t *testing.T) []byte { return mustSeal(t, 9, secretOf(9), data("pump-1", 1)) }, "no such key", evidence.Refused},
		"a wrong secret":       {func(t *testing.T) []byte { return mustSeal(t, 1, secretOf(7), data("pump-1", 1)) }, "does not open", evidence.Checksum},
		"two frames": {func(t *testing.T) []byte {
			return sealOf(t, 1, 9).Seal(nil, append(data("pump-1", 1), data("pump-1", 1)...))
		}, "not exactly one frame", evidence.Framing},
		"for another":           {func(t *testing.T) []byte { return sealOf(t, 1, 9).Seal(nil, data("pump-2", 1)) }, "speaks for pump-2", evidence.Refused},
		"a question with data":  {func(t *testing.T) []byte { return question(t, data("pump-1", 1)) }, "a question holds nothing but", evidence.Malformed},
		"a question that chats": {func(t *testing.T) []byte { return question(t, ask.Append(nil, link.Header{Address: 1})) }, "a question holds nothing but", evidence.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, _ := newSealedDrop(t, impair.Profile{}, "pump-1", "pump-2")
				time.Sleep(100 * time.Millisecond) // of virtual time: the turn of pump-1 has begun
				d.say(t, c.block(t))
				time.Sleep(300 * time.Millisecond)
				if port := d.book.Port("test"); port.Counted(c.event) != 1 || !strings.Contains(d.why(), c.why) {
					t.Errorf("%v was counted %d times: %q", c.event, port.Counted(c.event), d.why())
				}
				d.stop()
				if n := d.desk.Envelopes(); n != 0 {
					t.Errorf("%d envelopes came of it", n)
				}
			})
		})
	}
}

func mustSeal(t *testing.T, id uint64, secret, frame []byte) []byte {
	t.Helper()
	c, err := seal.NewController(key(t, id, secret), 9)
	if err != nil {
		t.Fatal(err)
	}
	return c.Seal(nil, frame)
}

func question(t *testing.T, frame []byte) []byte {
	t.Helper()
	return seal.NewQuestion(key(t, 1, secretOf(1)), 77).Seal(nil, frame)
}

// A block that was recorded and is played back changes nothing, and a controller that
// has lost its boot asks for it in its turn.
func TestReplayAndQuestionOnASealedLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := newSealedDrop(t, impair.Profile{}, "pump-1")
		const n = 5
		recorded := sealOf(t, 1, 500).Seal(nil, link.AppendData(nil, link.Header{Address: 1}, link.AppendReport(nil, content("pump-1", 1))))
		d.say(t, recorded)
		s := d.sealed(t, 1, 1000, n)
		d.delivered(t, time.Minute, map[string]uint64{"pump-1": n})
		d.bus.leave(s)
		envelopes := d.desk.Envelopes()
		d.say(t, recorded)
		time.Sleep(time.Second)
		if port := d.book.Port("test"); port.Counted(evidence.Late) != 1 || d.desk.Envelopes() != envelopes {
			t.Errorf("played back: %d late, %d envelopes more", port.Counted(evidence.Late), d.desk.Envelopes()-envelopes)
		}
		asker := seal.NewQuestion(key(t, 1, secretOf(1)), 77)
		heard := make(chan link.Welcome, 1)
		d.bus.mu.Lock()
		d.bus.overhear = func(block []byte) {
			frame, err := asker.Open(nil, block)
			if err != nil {
				return
			}
			var w link.Welcome
			if f, err := link.WholeFrame(frame, 1<<10); err == nil && f.Kind == link.KindWelcome && w.Decode(f.Payload) == nil {
				heard <- w
			}
		}
		d.bus.mu.Unlock()
		hello := link.Hello{Oldest: 1, Newest: 1, Controller: "pump-1"}
		over := link.Over{}
		d.say(t, asker.Seal(nil, hello.Append(nil, link.Header{Address: 1})))
		d.say(t, asker.Seal(nil, over.Append(nil, link.Header{Address: 1})))
		time.Sleep(10 * time.Second)
		select {
		case w := <-heard:
			if w.LastBoot != 1000 || w.Epoch != 0 {
				t.Errorf("the question was answered with %+v", w)
			}
		default:
			t.Error("the question was not answered")
		}
		d.stop()
		d.sound(t)
	})
}

// The gateway says nothing but turns in the clear, and nothing to one that it did not
// hear.
func TestOnlyTurnsGoInTheClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := newSealedDrop(t, impair.Profile{}, "pump-1", "pump-2")
		plain := map[link.Kind]int{}
		d.bus.mu.Lock()
		d.bus.overhear = func(block []byte) {
			if f, err := link.WholeFrame(block, 4<<10); err == nil {
				plain[f.Kind]++
			}
		}
		d.bus.mu.Unlock()
		d.sealed(t, 1, 1000, 50)
		d.delivered(t, time.Minute, map[string]uint64{"pump-1": 50})
		time.Sleep(10 * time.Second)
		d.stop()
		if plain[link.KindTurn] == 0 || len(plain) != 1 {
			t.Errorf("in the clear went %v", plain)
		}
	})
}
