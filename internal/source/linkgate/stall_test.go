package linkgate_test

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/linkgate"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/internal/testkit"
)

// from dials from an address of this machine.
func from(t *testing.T, local, to string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
	c, err := d.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A controller is welcome at once while another address stalls in more handshakes
// than there may be.
func TestStalledHandshakesKeepNobodyOut(t *testing.T) {
	authority := testkit.NewAuthority(t)
	var at address
	book := evidence.NewBook(time.Now)
	env := sourcetest.Env(book, status{}, nil)
	env.TLS = &tls.Config{Certificates: []tls.Certificate{authority.Server(t, "127.0.0.1")}, MinVersion: tls.VersionTLS13}
	env.Marks, env.Bound = books{}, at.note
	settings := linkgate.Default()
	settings.Connections = 800
	s, err := linkgate.NewTCP("127.0.0.1:0", settings, env)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := s.Run(ctx, sourcetest.NewDesk(nil)); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); work.Wait() })
	testkit.Eventually(t, func() bool { return at.get() != "127.0.0.1:0" }, "the listener")
	for range 250 {
		c := from(t, "127.0.0.2", at.get())
		if _, err := c.Write([]byte{22}); err != nil { // a handshake begins, and goes no further
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, func() bool { return book.Port("test").Counted(evidence.Refused) == 50 }, "the refusal of those above the share")
	began := time.Now()
	c := tls.Client(from(t, "127.0.0.1", at.get()), &tls.Config{RootCAs: authority.Pool(), ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13})
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the handshake took %v", took)
	}
}
