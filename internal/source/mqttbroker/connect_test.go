package mqttbroker_test

import (
	"context"
	"crypto/tls"
	"testing"

	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/mqttbroker"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
	"github.com/penstock/penstock/internal/testkit"
)

func TestWhoIsLetIn(t *testing.T) {
	st := newStand(t, options{auth: &guard{}})
	for _, c := range []struct {
		name     string
		connect  wire.Connect
		v5, v311 wire.Code
	}{
		{"no credential", wire.Connect{CleanStart: true}, wire.NotAuthorized, 4},
		{"a wrong token", wire.Connect{CleanStart: true, User: "pump-17", Password: "wrong"}, wire.NotAuthorized, 4},
		{"a good token", wire.Connect{CleanStart: true, User: "x", Password: "pump-17"}, 0, 0},
		{"a will of its own", wire.Connect{CleanStart: true, User: "x", Password: "pump-17", Will: &wire.Message{Topic: "reports/pump-17"}}, 0, 0},
		{"another's will", wire.Connect{CleanStart: true, User: "x", Password: "pump-17", Will: &wire.Message{Topic: "reports/pump-18"}}, wire.NotAuthorized, 5},
		{"a will to nowhere", wire.Connect{CleanStart: true, User: "x", Password: "pump-17", Will: &wire.Message{Topic: "a/+"}}, wire.InvalidTopic, 5},
		{"a name with a line end", wire.Connect{CleanStart: true, ClientID: "a\nb", User: "x", Password: "pump-17"}, wire.InvalidClientID, 2},
	} {
		for version, want := range map[byte]wire.Code{wire.V5: c.v5, wire.V311: c.v311} {
			c.connect.Version = version
			if ack := dial(t, st.address).connect(c.connect); ack.Code != want {
				t.Errorf("%s, version %d: %#02x, not %#02x", c.name, version, byte(ack.Code), byte(want))
			}
		}
	}
	testkit.Eventually(t, func() bool { return st.port.Counted(evidence.Refused) == 10 }, "the ten refusals in the evidence")
	if ack := dial(t, st.address).connect(wire.Connect{Version: wire.V311, User: "x", Password: "pump-17"}); ack.Code != 2 {
		t.Errorf("a session that is kept without a name: %d", ack.Code)
	}
	extended := wire.Connect{CleanStart: true, Properties: wire.Properties{{ID: wire.AuthMethod, Text: "SCRAM"}}}
	if ack := dial(t, st.address).connect(extended); ack.Code != wire.BadAuthMethod {
		t.Errorf("extended authentication: %#02x", byte(ack.Code))
	}
}

func TestOldVersionsAreToldSo(t *testing.T) {
	st := newStand(t, options{})
	p := dial(t, st.address)
	p.send([]byte("\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x00"))
	p.version = wire.V311
	if ack, err := wire.DecodeConnack(p.expect(wire.CONNACK).Body, wire.V311); err != nil || ack.Code != 1 {
		t.Errorf("%+v %v", ack, err)
	}
	p.closed()
	p = dial(t, st.address)
	p.send([]byte("\x10\x0d\x00\x04MQTT\x06\x02\x00\x3c\x00\x00\x00"))
	p.closed()
}

// The same identifier under another credential is another client: neither takes
// over nor keeps out.
func TestTakeover(t *testing.T) {
	st := newStand(t, options{auth: &guard{}})
	first := connect(t, st.address, wire.Connect{ClientID: "rtu", User: "x", Password: "pump-17"})
	other := connect(t, st.address, wire.Connect{ClientID: "rtu", User: "x", Password: "pump-18"})
	again := connect(t, st.address, wire.Connect{ClientID: "rtu", User: "x", Password: "pump-17"})
	if code := first.closed(); code != wire.TakenOver {
		t.Errorf("the first connection ended with %#02x", byte(code))
	}
	other.quiet()
	again.quiet()
}

func TestARevocationEndsTheConnection(t *testing.T) {
	t.Parallel()
	g := &guard{}
	st := newStand(t, options{auth: g})
	idle := connect(t, st.address, wire.Connect{User: "x", Password: "pump-17"})
	other := connect(t, st.address, wire.Connect{User: "x", Password: "pump-18"})
	g.revoke("pump-17")
	if code := idle.closed(); code != wire.NotAuthorized {
		t.Errorf("ended with %#02x", byte(code))
	}
	other.quiet()
}

func TestLimitsAreAnnounced(t *testing.T) {
	c := plain()
	c.ReceiveMaximum, c.MaxPacket, c.Retained = 17, 5000, 0
	st := newStand(t, options{config: c})
	ack := dial(t, st.address).connect(wire.Connect{Properties: wire.Properties{{ID: wire.SessionExpiry, Number: 1 << 30}}})
	p := ack.Properties
	if p.Number(wire.ReceiveMaximum) != 17 || p.Number(wire.MaximumPacket) != 5000 || p.Number(wire.SessionExpiry) != 3600 ||
		!p.Has(wire.RetainAvailable) || p.Has(wire.SharedAvailable) || p.Text(wire.AssignedClientID) == "" {
		t.Errorf("%+v", p)
	}
}

func TestMoreClientsThanMayBe(t *testing.T) {
	c := plain()
	c.MaxClients = 2
	st := newStand(t, options{config: c})
	stays := connect(t, st.address, wire.Connect{ClientID: "a", CleanStart: true})
	away := connect(t, st.address, wire.Connect{ClientID: "b", Version: wire.V311})
	away.disconnect()
	// The session of a client that is away makes room; one that is there does not.
	var third *peer
	testkit.Eventually(t, func() bool {
		third = dial(t, st.address)
		return third.connect(wire.Connect{ClientID: "c", CleanStart: true}).Code == wire.Success
	}, "the third client to be let in")
	if ack := dial(t, st.address).connect(wire.Connect{ClientID: "d", CleanStart: true}); ack.Code != wire.QuotaExceeded {
		t.Errorf("the fourth: %#02x", byte(ack.Code))
	}
	stays.quiet()
	third.quiet()
}

func TestTLS(t *testing.T) {
	authority := testkit.NewAuthority(t)
	node := &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{authority.Server(t)}, NextProtos: []string{"h2"},
		ClientCAs: authority.Pool(), ClientAuth: tls.VerifyClientCertIfGiven,
	}
	follow := node.Clone()
	follow.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return node, nil }
	for _, c := range []struct {
		mode     string
		version  uint16
		accepted bool
	}{
		{mqttbroker.TLSOn, tls.VersionTLS13, true},
		{mqttbroker.TLSOn, tls.VersionTLS12, false},
		{mqttbroker.TLSLegacy, tls.VersionTLS12, true},
	} {
		settings := mqttbroker.Default()
		settings.TLS = c.mode
		st := newStand(t, options{config: settings, auth: &guard{}, env: func(e *source.Env) { e.TLS = follow }})
		conn, err := new(tls.Dialer).DialContext(context.Background(), "tcp", st.address)
		if err == nil {
			conn.Close()
			t.Fatal("a certificate of nobody was taken")
		}
		dialer := &tls.Dialer{Config: &tls.Config{
			RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12, MaxVersion: c.version, NextProtos: []string{"mqtt"},
			Certificates: []tls.Certificate{authority.Client(t, "pump-17")},
		}}
		conn, err = dialer.DialContext(t.Context(), "tcp", st.address)
		if (err == nil) != c.accepted {
			t.Fatalf("%s, version %x: %v", c.mode, c.version, err)
		}
		if err != nil {
			continue
		}
		p := &peer{t: t, conn: conn, in: wire.NewReader(conn, 4096, 1<<20)}
		if ack := p.connect(wire.Connect{CleanStart: true}); ack.Code != wire.Success {
			t.Errorf("the client's certificate: %#02x", byte(ack.Code))
		}
		p.close()
		// A client that forgot TLS is named as such.
		refused := st.port.Counted(evidence.Refused)
		for n := range uint64(2) {
			forgot := dial(t, st.address)
			forgot.send(wire.AppendConnect(nil, &wire.Connect{Version: wire.V311, CleanStart: true}))
			forgot.closed()
			testkit.Eventually(t, func() bool { return st.port.Counted(evidence.Malformed) == n+1 }, "the plain text in the evidence")
		}
		if got := st.port.Counted(evidence.Refused); got != refused {
			t.Errorf("what is counted as malformed is counted as refused besides: %d times", got-refused)
		}
	}
}
