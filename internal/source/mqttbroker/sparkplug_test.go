package mqttbroker_test

import (
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/mqttbroker"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
	"github.com/penstock/penstock/internal/sparkplug"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/topic"
)

const noon = 1_780_315_200_000 // milliseconds

// number returns a metric; the alias stands for the name where that is empty.
func number(name string, alias, value uint64) (b []byte) {
	if name != "" {
		b = protowire.AppendString(protowire.AppendTag(b, 1, protowire.BytesType), name)
		b = protowire.AppendVarint(protowire.AppendTag(b, 4, protowire.VarintType), 8) // UInt64
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), alias)
	return protowire.AppendVarint(protowire.AppendTag(b, 11, protowire.VarintType), value)
}

// metrics returns the payload with a number, a second after the one before it.
func metrics(seq uint64, list ...[]byte) string {
	b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), noon+1000*seq)
	for _, m := range list {
		b = protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), m)
	}
	return string(protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), seq))
}

// born and dead are the birth and the death of one session.
var born, dead = metrics(0, number("bdSeq", 0, 3), number("level", 1, 20)), metrics(0, number("bdSeq", 0, 3))

// edgeOptions are those of a broker that follows edge nodes.
func edgeOptions(c *sparkplug.Config) options {
	o := options{config: plain(), auth: &guard{}}
	o.config.Topics = []topic.Route{{Topic: "spBv1.0/#", Payload: topic.Sparkplug}}
	o.config.Sparkplug = c
	return o
}

// login returns a CONNECT packet of who has the token of a controller.
func login(token string, will *wire.Message) wire.Connect {
	return wire.Connect{CleanStart: true, ClientID: "client of " + token, User: "edge", Password: token, Will: will}
}

func will(topic, payload string) *wire.Message {
	return &wire.Message{Topic: topic, Payload: []byte(payload)}
}

// deed is what is wanted of a report, in a few words.
func deed(r penstock.Report) string {
	var b strings.Builder
	b.WriteString(r.Controller)
	for i := range r.Samples {
		s := &r.Samples[i]
		if b.WriteString(" " + s.Point + "="); s.Status == penstock.BadNoCommunication && s.Value.Kind() == penstock.None {
			b.WriteString("lost")
		} else {
			b.WriteString(s.Value.String())
		}
	}
	return b.String()
}

// want waits for reports, all since the stand began.
func (st *stand) want(t *testing.T, reports ...string) {
	t.Helper()
	testkit.Eventually(t, func() bool { return len(st.desk.Accepted()) >= len(reports) }, strings.Join(reports, ", "))
	got := st.desk.Accepted()
	for i, r := range got {
		if i >= len(reports) || deed(r) != reports[i] {
			t.Errorf("report %d is %q, want %q", i, deed(r), reports)
		}
	}
}

// The whole way: the births are asked for, data comes by aliases, and the will of
// an edge node that goes without a word is its death.
func TestSparkplug(t *testing.T) {
	t.Parallel()
	o := edgeOptions(&sparkplug.Config{Rebirth: []string{"north/*"}})
	st := newStand(t, o)
	scada := connect(t, st.address, login("all", nil))
	scada.subscribe(wire.Subscription{Filter: "spBv1.0/#"})
	gw := connect(t, st.address, login("north:gw", will("spBv1.0/north/NDEATH/gw", dead)))
	gw.subscribe(wire.Subscription{Filter: "spBv1.0/north/NCMD/gw"})

	gw.publish("spBv1.0/north/NDATA/gw", 0, metrics(9, number("", 1, 5)))
	if m := gw.arrive(); m.Topic != "spBv1.0/north/NCMD/gw" || !strings.Contains(string(m.Payload), "Node Control/Rebirth") || m.Retain {
		t.Errorf("the command is %+v", m)
	}
	gw.publish("spBv1.0/north/NBIRTH/gw", 1, born)
	if a := gw.ack(wire.PUBACK); a.Code != wire.Success {
		t.Errorf("the birth: %+v", a)
	}
	gw.publish("spBv1.0/north/NDATA/gw", 0, metrics(1, number("", 1, 21)))
	st.want(t, "north:gw level=20", "north:gw level=21")
	gw.close()
	st.want(t, "north:gw level=20", "north:gw level=21", "north:gw level=lost")
	for _, kind := range []string{"NCMD", "NDATA", "NBIRTH", "NDATA", "NDEATH"} { // data after it is durable
		if m := scada.arrive(); m.Topic != "spBv1.0/north/"+kind+"/gw" {
			t.Errorf("%s came, want %s", m.Topic, kind)
		}
	}
	page := st.book.Controller("north:gw")
	for event, n := range map[evidence.Event]uint64{evidence.Received: 4, evidence.Gap: 1, evidence.Lost: 2, evidence.Connected: 2} { // the session and its connection
		if got := page.Counted(event); got != n {
			t.Errorf("%s was counted %d times, not %d", event, got, n)
		}
	}
}

// An edge node speaks for the controllers of its scope, and tells nobody what to
// do.
func TestSparkplugRights(t *testing.T) {
	t.Parallel()
	st := newStand(t, edgeOptions(nil))
	gw := connect(t, st.address, login("north:gw", nil))
	for name, code := range map[string]wire.Code{
		"spBv1.0/north/NDATA/gw":         wire.Success,
		"spBv1.0/north/NDATA/other":      wire.NotAuthorized,
		"spBv1.0/north/NDEATH/other":     wire.NotAuthorized,
		"spBv1.0/north/DBIRTH/gw/pump":   wire.NotAuthorized, // a controller of its own
		"spBv1.0/north/NCMD/gw":          wire.NotAuthorized,
		"spBv1.0/north/DCMD/gw/pump":     wire.NotAuthorized,
		"spBv1.0/STATE/scada":            wire.NotAuthorized,
		"spBv1.0/north/NRUMOUR/gw":       wire.InvalidTopic,
		"spBv1.0/north/NDATA/gw/further": wire.InvalidTopic,
	} {
		gw.publish(name, 1, metrics(0))
		if a := gw.ack(wire.PUBACK); a.Code != code {
			t.Errorf("%s: %#02x, want %#02x", name, byte(a.Code), byte(code))
		}
	}
	for name, code := range map[string]wire.Code{
		"spBv1.0/north/NDEATH/other": wire.NotAuthorized,
		"spBv1.0/north/NRUMOUR/gw":   wire.InvalidTopic,
	} {
		if a := dial(t, st.address).connect(login("north:gw", will(name, dead))); a.Code != code {
			t.Errorf("the will for %s: %#02x, want %#02x", name, byte(a.Code), byte(code))
		}
	}
	scada, gw := connect(t, st.address, login("all", nil)), connect(t, st.address, login("north:gw", nil))
	gw.subscribe(wire.Subscription{Filter: "spBv1.0/#"})
	for _, name := range []string{"spBv1.0/north/NCMD/other", "spBv1.0/north/NDATA/other", "spBv1.0/north/NCMD/gw"} {
		scada.publish(name, 1, metrics(0))
		scada.ack(wire.PUBACK)
	}
	if m := gw.arrive(); m.Topic != "spBv1.0/north/NCMD/gw" {
		t.Errorf("it heard %s", m.Topic)
	}
	gw.quiet()
}

// What an edge node sends at QoS 1 is acknowledged when it is decided about and
// durable; what cannot be read is refused with its reason.
func TestSparkplugIsAcknowledged(t *testing.T) {
	t.Parallel()
	st := newStand(t, edgeOptions(&sparkplug.Config{Reorder: config.Duration(300 * time.Millisecond)}))
	gw := connect(t, st.address, login("north:gw", nil))
	st.desk.Close()
	gw.publish("spBv1.0/north/NBIRTH/gw", 1, born)
	gw.quiet()
	st.desk.Open()
	if a := gw.ack(wire.PUBACK); a.Code != wire.Success || len(st.desk.Accepted()) != 1 {
		t.Errorf("the birth: %+v", a)
	}
	gw.publish("spBv1.0/north/NDATA/gw", 1, metrics(2, number("", 1, 22))) // 1 is missing
	gw.quiet()
	if a := gw.ack(wire.PUBACK); a.Code != wire.Success {
		t.Errorf("the data: %+v", a)
	}
	st.want(t, "north:gw level=20", "north:gw level=22")
	if n := st.port.Counted(evidence.Gap); n != 1 {
		t.Errorf("%d messages are missing", n)
	}
	gw.publish("spBv1.0/north/NDATA/gw", 1, "\xff")
	if a := gw.ack(wire.PUBACK); a.Code != wire.InvalidPayload || !strings.Contains(a.Reason, "protobuf") {
		t.Errorf("the broken one: %+v", a)
	}
	gw.publish("spBv1.0/north/NDATA/gw", 1, metrics(3, number("", 1, 23)), wire.Field{ID: wire.UserProperty, Text: "crc32", Value: "00000001"})
	if a := gw.ack(wire.PUBACK); a.Code != wire.InvalidPayload || !strings.Contains(a.Reason, "CRC-32") {
		t.Errorf("the one with a wrong checksum: %+v", a)
	}
	st.desk.Refuse(penstock.ReasonForbidden)
	gw.publish("spBv1.0/north/NDATA/gw", 1, metrics(3, number("", 1, 24)))
	if a := gw.ack(wire.PUBACK); a.Code != wire.NotAuthorized {
		t.Errorf("the rejected one: %+v", a)
	}
}

// What the node has no room for is tried again, also at QoS 0 and for a will: the
// host has it behind it. When the time for that is over, QoS 1 ends the
// connection, and QoS 0 is counted.
func TestSparkplugWhileNothingIsTaken(t *testing.T) {
	t.Parallel()
	o := edgeOptions(nil)
	o.config.Retry = config.Duration(time.Minute)
	st := newStand(t, o)
	full := penstock.Errorf(penstock.Limited, "the disk is full")
	gw := connect(t, st.address, login("north:gw", will("spBv1.0/north/NDEATH/gw", dead)))
	st.desk.Fail(full)
	gw.publish("spBv1.0/north/NBIRTH/gw", 0, born)
	testkit.Eventually(t, func() bool { return st.desk.Envelopes() >= 3 }, "three attempts")
	st.desk.Fail(nil)
	st.want(t, "north:gw level=20")
	st.desk.Fail(full)
	gw.close()
	testkit.Eventually(t, func() bool { return st.desk.Envelopes() >= 7 }, "attempts for the will")
	st.desk.Fail(nil)
	st.want(t, "north:gw level=20", "north:gw level=lost")

	o.config.Retry = config.Duration(100 * time.Millisecond)
	st = newStand(t, o)
	st.desk.Fail(full)
	gw = connect(t, st.address, login("north:gw", nil))
	gw.publish("spBv1.0/north/NBIRTH/gw", 0, born)
	testkit.Eventually(t, func() bool { return st.port.Counted(evidence.Refused) == 1 }, "the loss in the evidence")
	gw.publish("spBv1.0/north/NDATA/gw", 1, metrics(1, number("", 1, 21)))
	if code := gw.closed(); code != wire.ServerBusy {
		t.Errorf("the connection ended with %#02x", byte(code))
	}
}

// What is known of edge nodes survives a failure of the broker, and what it had
// not decided about is submitted by the next one for who had sent it.
func TestSparkplugOverARestart(t *testing.T) {
	t.Parallel()
	var memory any
	o := edgeOptions(&sparkplug.Config{Reorder: config.Duration(5 * time.Second)})
	o.env = func(env *source.Env) { env.Memory = &memory }
	st := newStand(t, o)
	gw := connect(t, st.address, login("north:gw", nil))
	gw.publish("spBv1.0/north/NBIRTH/gw", 1, born)
	gw.ack(wire.PUBACK)
	gw.publish("spBv1.0/north/NDATA/gw", 1, metrics(2, number("", 1, 22))) // 1 is missing
	gw.quiet()
	st.stop()
	st.want(t, "north:gw level=20")

	next := &recorder{}
	o.next = next
	st = newStand(t, o)
	if n := len(next.seen()); n != 1 {
		t.Errorf("%d envelopes from before, when the broker takes clients", n)
	}
	gw = connect(t, st.address, login("north:gw", nil))
	gw.publish("spBv1.0/north/NDATA/gw", 1, metrics(3, number("", 1, 23)))
	gw.ack(wire.PUBACK)
	got := next.seen()
	if len(got) != 2 || got[0].Credential.Token != "north:gw" || got[0].Source == "" || got[0].Topic != "spBv1.0/north/NDATA/gw" || got[0].Principal != nil {
		t.Errorf("the envelopes are %+v", got)
	}
}

// The payloads of another implementation, with its death as the will.
func TestSparkplugOfTheNPMPackage(t *testing.T) {
	t.Parallel()
	const peer = "../../sparkplug/testdata/peers/sparkplug-payload"
	cmd := exec.Command("node", filepath.Join(peer, "peer.js"))
	cmd.Env = append(os.Environ(), "NODE_PATH="+testkit.NPM(t, peer))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	payloads := map[string]string{}
	for line := range strings.Lines(string(out)) {
		kind, written, _ := strings.Cut(strings.TrimSpace(line), " ")
		payload, err := hex.DecodeString(written)
		if err != nil {
			t.Fatal(err)
		}
		payloads[kind] = string(payload)
	}
	st := newStand(t, edgeOptions(nil))
	c := login("north:gw", will("spBv1.0/north/NDEATH/gw", payloads["NDEATH"]))
	c.Version = wire.V311
	gw := connect(t, st.address, c)
	gw.publish("spBv1.0/north/NBIRTH/gw", 0, payloads["NBIRTH"])
	gw.publish("spBv1.0/north/NDATA/gw", 0, payloads["NDATA"])
	testkit.Eventually(t, func() bool { return len(st.desk.Accepted()) == 2 }, "birth and data")
	gw.close()
	testkit.Eventually(t, func() bool { return len(st.desk.Accepted()) == 3 }, "the death")
	got := st.desk.Accepted()
	if len(got[0].Samples) != 14 || deed(got[1]) != "north:gw float=2.5 float=2.25" || strings.Count(deed(got[2]), "=lost") != 14 {
		t.Errorf("it gave %q, %q and %q", deed(got[0]), deed(got[1]), deed(got[2]))
	}
}

func TestSparkplugSettings(t *testing.T) {
	for words, spoil := range map[string]func(c *mqttbroker.Config){
		"sparkplug: no topic has":      func(c *mqttbroker.Config) { c.Topics = nil },
		"sparkplug.reorder: 6s is mor": func(c *mqttbroker.Config) { c.Sparkplug.Reorder = config.Duration(6 * time.Second) },
	} {
		c := edgeOptions(&sparkplug.Config{}).config
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("want %q, got %v", words, err)
		}
	}
}
