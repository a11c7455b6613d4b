package mqttclient_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/mqttclient"
	"github.com/penstock/penstock/internal/sparkplug"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/tlsfiles"
	"github.com/penstock/penstock/internal/topic"
)

// A connection over which nothing comes any more is found dead by the keepalive.
func TestHalfOpenConnection(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	c := configOf(b, topic.Route{Topic: "plant/+/report"})
	c.Keepalive = config.Duration(5 * time.Second)
	s := run(t, c)
	b.tap.swallowAll(true)
	if err := b.publishLines(t.Context(), "plant/a/report", lines(t, 1, 50)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return s.counted(evidence.Lost) > 0 }, "the end of the dead connection")
	b.tap.swallowAll(false)
	b.tap.cut()
	s.want(t, 50)
}

// secureBroker starts Mosquitto with TLS, a user, and certificates for clients.
func secureBroker(t *testing.T, extra string) (b *broker, ca *testkit.Authority, caFile string) {
	t.Helper()
	ca = testkit.NewAuthority(t)
	cert, key := testkit.WriteFiles(t, ca.Server(t))
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	users := filepath.Join(t.TempDir(), "users")
	if out, err := exec.Command("mosquitto_passwd", "-b", "-c", users, "gateway", "the password").CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_passwd: %v: %s", err, out)
	}
	extra += "\nallow_anonymous false\npassword_file " + users + "\ncertfile " + cert + "\nkeyfile " + key + "\ncafile " + caFile + "\n"
	return startBroker(t, extra), ca, caFile
}

func TestTLSAndPassword(t *testing.T) {
	t.Parallel()
	b, ca, caFile := secureBroker(t, "require_certificate true")
	cert, key := testkit.WriteFiles(t, ca.Client(t, "gateway"))
	good := mqttclient.Config{
		Server: "mqtts://" + strings.Replace(b.Address, "127.0.0.1", "localhost", 1), User: "gateway", Password: config.NewSecret("the password"),
		TLS:         tlsfiles.Client{CA: caFile, Cert: cert, Key: key},
		Controllers: []string{"*"}, Topics: []topic.Route{{Topic: "plant/report"}},
	}
	run(t, good)
	for words, spoil := range map[string]func(c *mqttclient.Config){
		"certificate signed by unknown authority": func(c *mqttclient.Config) { c.TLS.CA = "" },
		"certificate required":                    func(c *mqttclient.Config) { c.TLS.Cert, c.TLS.Key = "", "" },
		"user or password is wrong":               func(c *mqttclient.Config) { c.Password = config.NewSecret("guess") },
		"certificate is valid for":                func(c *mqttclient.Config) { c.TLS.ServerName = "elsewhere.example" },
		"no-such-file":                            func(c *mqttclient.Config) { c.TLS.CA = "no-such-file" },
	} {
		c := good
		c.ClientID = "another"
		spoil(&c)
		s := begin(t, c)
		testkit.Eventually(t, func() bool { return s.log.told(words) }, "the word "+words)
		if s.log.told("the password") || s.log.told("guess") {
			t.Error("a password stands in the status")
		}
	}
}

// A broker without MQTT 5, and one that is none.
func TestOtherServers(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	answers := [][]byte{
		{0x20, 3, 0, 0x84, 0}, // CONNACK: it does not speak MQTT 5
		{0x20, 2, 0, 1},       // nor 3.1.1
		{0x20, 2, 0, 1},       // the same, in the words of 3.1.1
		nil,                   // to 3.1.1 it says nothing
		nil,                   // nor to MQTT 5
		nil,
		[]byte("HTTP/1.1 400 Bad Request"), // a web server
		{0x30, 0xff, 0xff, 0xff, 0x7f},     // a packet of 256 MiB
		{0x30, 0xff, 0xff, 0xff, 0xff},     // a length that does not end
	}
	var work sync.WaitGroup
	work.Go(func() { serve(l, answers) })
	t.Cleanup(func() { l.Close(); work.Wait() })
	c := mqttclient.Config{Server: "mqtt://" + l.Addr().String(), Controllers: []string{"*"}, Topics: []topic.Route{{Topic: "#"}}}
	s := begin(t, c)
	for _, words := range []string{"this version of MQTT", "with MQTT 3.1.1", "with MQTT 5", "above max_packet"} {
		testkit.Eventually(t, func() bool { return s.log.told(words) }, "the word "+words)
	}
}

// serve gives each connection the next answer, the last one for ever.
func serve(l net.Listener, answers [][]byte) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = c.Read(make([]byte, 1024))
		_, _ = c.Write(answers[0])
		if len(answers) > 1 {
			answers = answers[1:]
		}
		c.Close()
	}
}

// double returns a metric; the alias stands for the name where that is empty.
func double(name string, alias uint64, value uint64) (b []byte) {
	if name != "" {
		b = protowire.AppendString(protowire.AppendTag(b, 1, protowire.BytesType), name)
		b = protowire.AppendVarint(protowire.AppendTag(b, 4, protowire.VarintType), 8) // UInt64
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), alias)
	return protowire.AppendVarint(protowire.AppendTag(b, 11, protowire.VarintType), value)
}

func metrics(seq uint64, millis uint64, list ...[]byte) (b []byte) {
	b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.VarintType), millis)
	for _, m := range list {
		b = protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), m)
	}
	return protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), seq)
}

// The whole way: the births are asked for, data comes by aliases, a lost
// connection forgets nothing, and a death is told.
func TestSparkplug(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "queue_qos0_messages true")
	c := configOf(b, topic.Route{Topic: "spBv1.0/#", Payload: topic.Sparkplug})
	c.Sparkplug = &sparkplug.Config{Rebirth: []string{"north/*"}}
	c.Controllers = []string{"north:*"}
	s := run(t, c)

	host, port, _ := net.SplitHostPort(b.Address)
	listen := func(args ...string) string {
		t.Helper()
		args = append([]string{"-h", host, "-p", port, "-t", "spBv1.0/+/NCMD/#", "-q", "1", "-c", "-i", "edge", "-F", "%t %p", "-W", "20"}, args...)
		heard, err := exec.Command("mosquitto_sub", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("mosquitto_sub: %v: %s", err, heard)
		}
		return string(heard)
	}
	listen("-E") // subscribes; the broker keeps what comes
	send := func(kind string, payload []byte) {
		t.Helper()
		if err := b.pipe(t.Context(), payload, "-q", "0", "-t", "spBv1.0/north/"+kind+"/gw", "-s"); err != nil {
			t.Fatal(err)
		}
	}
	const noon = 1_780_315_200_000
	send("NDATA", metrics(9, noon, double("", 1, 5)))
	testkit.Eventually(t, func() bool { return s.counted(evidence.Gap) > 0 }, "the unknown alias")
	send("NBIRTH", metrics(0, noon, double("bdSeq", 0, 3), double("level", 1, 20)))
	testkit.Eventually(t, func() bool { return len(s.desk.Accepted()) == 1 }, "the birth")
	b.tap.cut()
	testkit.Eventually(t, func() bool { return s.counted(evidence.Connected) >= 3 }, "another connection") // and the birth counts too
	send("NDATA", metrics(1, noon+1000, double("", 1, 21)))
	testkit.Eventually(t, func() bool { return len(s.desk.Accepted()) == 2 }, "the data after the reconnection")
	send("NDEATH", metrics(0, noon, double("bdSeq", 0, 3)))
	testkit.Eventually(t, func() bool { return len(s.desk.Accepted()) == 3 }, "the death")
	got := s.desk.Accepted()
	if v := got[1]; v.Controller != "north:gw" || v.Samples[0].Point != "level" || v.Samples[0].Value != penstock.UintValue(21) || v.Identity.Form != penstock.Natural {
		t.Errorf("the data: %+v", v)
	}
	if v := got[2].Samples[0]; v.Status != penstock.BadNoCommunication || v.Value.Kind() != penstock.None {
		t.Errorf("the death: %+v", v)
	}
	if heard := listen("-C", "1"); !strings.HasPrefix(heard, "spBv1.0/north/NCMD/gw ") {
		t.Errorf("the command %q", heard)
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := mqttclient.Config{Server: "mqtts://broker", Controllers: []string{"*"}, Topics: []topic.Route{{Topic: "#"}}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for key, spoil := range map[string]func(c *mqttclient.Config){
		"server":            func(c *mqttclient.Config) { c.Server = "broker" },
		"has a path":        func(c *mqttclient.Config) { c.Server = "mqtts://broker/x" },
		"plain_text":        func(c *mqttclient.Config) { c.Server = "mqtt://broker" },
		"keys of their own": func(c *mqttclient.Config) { c.Server = "mqtts://me:secret@broker" },
		"controllers":       func(c *mqttclient.Config) { c.Controllers = nil },
		"topics":            func(c *mqttclient.Config) { c.Topics = nil },
		"{controller} and":  func(c *mqttclient.Config) { c.Topics = []topic.Route{{Topic: "#", Payload: topic.Value}} },
		"no topic has":      func(c *mqttclient.Config) { c.Sparkplug = &sparkplug.Config{} },
		"cannot be shared": func(c *mqttclient.Config) {
			c.Share, c.Topics = "g", []topic.Route{{Topic: "#", Payload: topic.Sparkplug}}
		},
		"keepalive":       func(c *mqttclient.Config) { c.Keepalive = config.Duration(time.Second) },
		"session":         func(c *mqttclient.Config) { c.Session = config.Duration(time.Second) },
		"receive_maximum": func(c *mqttclient.Config) { c.ReceiveMaximum = 70000 },
		"max_packet":      func(c *mqttclient.Config) { c.MaxPacket = 10 },
	} {
		c := good
		c.Topics = []topic.Route{{Topic: "#"}}
		spoil(&c)
		if err := c.Validate(); penstock.CodeOf(err) != penstock.Invalid || !strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", key, err)
		}
	}
	for _, server := range []string{"mqtt://localhost", "mqtt://127.0.0.1:1", "mqtt://[::1]"} {
		c := good
		if c.Server = server; c.Validate() != nil {
			t.Errorf("%s is on this machine", server)
		}
	}
}
