package linkgate_test

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/serialport"
	"github.com/penstock/penstock/internal/source/linkgate"
	"github.com/penstock/penstock/internal/testkit/impair"
	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/cobs"
)

func TestSerialConfig(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*linkgate.SerialConfig)
		want   string // "" for a sound one
	}{
		{"many", func(*linkgate.SerialConfig) {}, ""},
		{"one alone", func(c *linkgate.SerialConfig) { c.Controllers = []linkgate.Station{{Name: "a"}} }, ""},
		{"nobody", func(c *linkgate.SerialConfig) { c.Controllers = nil }, "controllers: 0"},
		{"no device", func(c *linkgate.SerialConfig) { c.Serial.Device = "" }, "serial.device"},
		{"seven bits", func(c *linkgate.SerialConfig) { c.Serial.DataBits = 7 }, "serial.data_bits"},
		{"no address", func(c *linkgate.SerialConfig) { c.Controllers[1].Address = 0 }, `"b" needs an address`},
		{"the last address", func(c *linkgate.SerialConfig) { c.Controllers[1].Address = 65535 }, "65535"},
		{"one address", func(c *linkgate.SerialConfig) { c.Controllers[1].Address = 1 }, `"b" has the address 1 of another`},
		{"one name", func(c *linkgate.SerialConfig) { c.Controllers[1].Name = "a" }, `"a" stands there twice`},
		{"a bad name", func(c *linkgate.SerialConfig) { c.Controllers[1].Name = "" }, "address 2"},
		{"a short turn", func(c *linkgate.SerialConfig) { c.Turn = 100 }, "turn:"},
		{"a long turnaround", func(c *linkgate.SerialConfig) { c.Turnaround = time.Minute }, "turnaround:"},
		{"no rest", func(c *linkgate.SerialConfig) { c.Idle = -1 }, "idle:"},
		{"a small window", func(c *linkgate.SerialConfig) { c.Window = 10 }, "window:"},
		{"a fast heart", func(c *linkgate.SerialConfig) { c.Heartbeat = time.Millisecond }, "heartbeat:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := linkgate.SerialConfig{
				Serial: serialport.Config{Device: "/dev/none"}, Controllers: []linkgate.Station{{Name: "a", Address: 1}, {Name: "b", Address: 2}},
			}
			c.change(&config)
			switch err := config.Validate(); {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v does not say %q", err, c.want)
			}
		})
	}
}

// say puts a block on the line from the controllers' side.
func (d *drop) say(t *testing.T, frame []byte) {
	t.Helper()
	if _, err := d.bus.end.Write(cobs.Append(nil, frame)); err != nil {
		t.Error(err)
	}
}

// why returns what the evidence of the port says of the newest bad frame.
func (d *drop) why() string {
	frames := d.book.Port("test").BadFrames()
	if len(frames) == 0 {
		return ""
	}
	newest := frames[0]
	for _, f := range frames {
		if f.Time.After(newest.Time) {
			newest = f
		}
	}
	return newest.Why
}

// TestEvidenceOfALine says what is written down of frames that are not taken, and
// of whom.
func TestEvidenceOfALine(t *testing.T) {
	over := link.Over{Waiting: 1}
	damaged := over.Append(nil, link.Header{Address: 2})
	damaged[len(damaged)-1] ^= 1
	variant := over.Append(nil, link.Header{Address: 2})
	body := variant[:len(variant)-4]
	binary.LittleEndian.PutUint32(variant[len(body):], crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	turn := link.Turn{Budget: 9}
	for _, c := range []struct {
		name  string
		frame []byte
		event evidence.Event
		why   string
		named bool // the controller whose turn it is has it too
	}{
		{"damaged", damaged, evidence.Checksum, "when pump-1 was to speak", true},
		{"another CRC-32", variant, evidence.Checksum, "the checksum is CRC-32C", true},
		{"half a frame", damaged[:12], evidence.Framing, "not exactly one frame", true},
		{"an unknown address", over.Append(nil, link.Header{Address: 9}), evidence.Refused, "nobody has the address 9", false},
		{"an echo", turn.Append(nil, link.Header{Address: 1}), evidence.Malformed, "a turn came back", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrop(t, impair.Profile{}, "pump-1", "pump-2")
				time.Sleep(100 * time.Millisecond) // of virtual time: the turn of pump-1 has begun
				d.say(t, c.frame)
				time.Sleep(100 * time.Millisecond)
				port := d.book.Port("test")
				if port.Counted(c.event) != 1 || !strings.Contains(d.why(), c.why) {
					t.Errorf("%v was counted %d times: %q", c.event, port.Counted(c.event), d.why())
				}
				if got := d.book.Controller("pump-1").Counted(c.event) == 1; got != c.named {
					t.Errorf("%v counted on pump-1: %v", c.event, got)
				}
				if d.book.Controller("pump-2").Counted(c.event) != 0 {
					t.Error("the damaged bytes name pump-2, and are believed")
				}
				d.stop()
			})
		})
	}
}

// TestTheLineSaysWhoSpeaks: a controller cannot take the name of another on its line.
func TestTheLineSaysWhoSpeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t, impair.Profile{}, "pump-1", "pump-2")
		d.controller(t, "pump-2", 1, 3)
		time.Sleep(30 * time.Second)
		for range 20 { // nor with a token, which the whole line could read
			hello := link.Hello{Oldest: 1, Newest: 1, Controller: "pump-2", Epoch: 1, Token: "secret"}
			d.say(t, hello.Append(nil, link.Header{Address: 1}))
			time.Sleep(time.Second)
		}
		if n := d.book.Controller("pump-2").Counted(evidence.Connected); n != 0 {
			t.Errorf("%d sessions began under a false name", n)
		}
		if n := d.desk.Envelopes(); n != 0 {
			t.Errorf("%d envelopes came under a false name", n)
		}
		d.controller(t, "pump-2", 2, 3)
		d.delivered(t, time.Minute, map[string]uint64{"pump-2": 3})
		d.stop()
		d.sound(t)
	})
}

// TestALineGoesOnAfterAnOutage: what the node took nothing of comes again, and
// nobody is thought dead meanwhile.
func TestALineGoesOnAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t, impair.Profile{}, "pump-1", "pump-2")
		const n = 200
		d.desk.Close()
		d.controller(t, "pump-1", 1, n)
		d.controller(t, "pump-2", 2, n)
		time.Sleep(time.Minute)
		if got := d.book.Port("test").Counted(evidence.Timeout); got != 0 {
			t.Errorf("%d turns were not answered while the node decided nothing", got)
		}
		d.desk.Fail(penstock.RetryLater(penstock.Full, time.Second, "no room"))
		d.desk.Open()
		time.Sleep(time.Minute)
		d.desk.Fail(nil)
		d.delivered(t, time.Hour, map[string]uint64{"pump-1": n, "pump-2": n})
		d.stop()
		d.sound(t)
	})
}

// TestAControllerComesBack: one that was dead for long is asked as before.
func TestAControllerComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t, impair.Profile{}, "pump-1", "pump-2")
		d.controller(t, "pump-1", 1, 10)
		time.Sleep(10 * time.Minute)
		d.controller(t, "pump-2", 2, 50)
		took := d.delivered(t, 5*time.Minute, map[string]uint64{"pump-1": 10, "pump-2": 50})
		if took > 75*time.Second {
			t.Errorf("it took %s, and it is asked once a minute at least", took)
		}
		d.stop()
		d.sound(t)
	})
}

// TestTheGatewayKeepsStillInATurn: the line is half duplex.
func TestTheGatewayKeepsStillInATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t, impair.Profile{}, "pump-1", "pump-2")
		time.Sleep(100 * time.Millisecond) // the turn of pump-1 has begun
		before, _ := d.way.Counts()
		hello := link.Hello{Oldest: 1, Newest: 1, Controller: "pump-1", Epoch: 1}
		d.say(t, hello.Append(nil, link.Header{Address: 1})) // it has an answer
		time.Sleep(400 * time.Millisecond)
		during, _ := d.way.Counts()
		if during.Bytes != before.Bytes {
			t.Errorf("the gateway put %d bytes on the line in the turn of a controller", during.Bytes-before.Bytes)
		}
		over := link.Over{}
		d.say(t, over.Append(nil, link.Header{Address: 1}))
		time.Sleep(50 * time.Millisecond)
		after, _ := d.way.Counts()
		if after.Bytes < during.Bytes+50 {
			t.Errorf("after the turn came %d bytes: the welcome and the next turn have more", after.Bytes-during.Bytes)
		}
		d.stop()
	})
}

// TestALongAnswerIsNoSilence: a turn begins when the controller can have heard of it.
func TestALongAnswerIsNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t, impair.Profile{}, "pump-1", "pump-2")
		d.desk.Refuse(penstock.ReasonRange)
		one, two := d.controller(t, "pump-1", 1, 200), d.controller(t, "pump-2", 2, 200)
		time.Sleep(10 * time.Minute)
		if got := d.book.Port("test").Counted(evidence.Timeout); got != 0 {
			t.Errorf("%d turns timed out while the gateway was speaking", got)
		}
		d.stop()
		for _, s := range []*station{one, two} {
			if s.Waiting() != 0 {
				t.Errorf("%d reports wait that were refused for good", s.Waiting())
			}
		}
	})
}

// TestASessionEndsAndAnotherBegins: neither a bye nor a frame that makes no sense
// closes the line to its controller.
func TestASessionEndsAndAnotherBegins(t *testing.T) {
	bye := link.Bye{Reason: "stop"}
	for name, frame := range map[string][]byte{
		"bye":      bye.Append(nil, link.Header{Address: 1}),
		"nonsense": link.AppendFrame(nil, link.Frame{Kind: link.KindHeartbeat, Address: 1, Payload: []byte("\xff\xff")}),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrop(t, impair.Profile{}, "pump-1")
				s := d.controller(t, "pump-1", 1, 3)
				d.delivered(t, time.Minute, map[string]uint64{"pump-1": 3})
				d.bus.leave(s)
				d.say(t, frame)
				d.controller(t, "pump-1", 1, 6)
				d.delivered(t, time.Minute, map[string]uint64{"pump-1": 6})
				d.stop()
				d.sound(t)
				if got := d.book.Controller("pump-1").Counted(evidence.Connected); got != 2 {
					t.Errorf("%d sessions began, not 2", got)
				}
			})
		})
	}
}
