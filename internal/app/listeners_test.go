package app

import (
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/allow"
	"github.com/penstock/penstock/internal/app/doors"
	"github.com/penstock/penstock/internal/app/settings"
)

func TestListenersNeedAddressesOfTheirOwn(t *testing.T) {
	c := settings.Default()
	c.Listen.MQTT, c.Listen.Link, c.Listen.LinkUDP = c.Listen.HTTPS, ":5427", ":5427"
	err := c.Validate()
	if err == nil || !strings.Contains(err.Error(), "listen.mqtt: :8080 is the address of listen.https too") || strings.Contains(err.Error(), "listen.link") {
		t.Errorf("the error is: %v", err)
	}
}

// TestStrangersAreRefused has everything that listens refuse who is not named.
func TestStrangersAreRefused(t *testing.T) {
	doors, err := doors.Open(settings.Listen{Allow: allow.List{"240.0.0.0/8"}}, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	l, err := openListeners(settings.Listen{HTTPS: "0.0.0.0:0", Health: "0.0.0.0:0"}, doors)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(addresses, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.To4() != nil && !n.IP.IsLoopback()
	})
	if i < 0 {
		t.Fatal("the test needs an address beside 127.0.0.1")
	}
	for n, listener := range []net.Listener{l.https, l.health} {
		_, port, err := net.SplitHostPort(listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		stranger, err := net.Dial("tcp", net.JoinHostPort(addresses[i].(*net.IPNet).IP.String(), port))
		if err != nil {
			t.Fatal(err)
		}
		defer stranger.Close()
		friend, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			t.Fatal(err)
		}
		defer friend.Close()
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if doors.Gate.Refused() != uint64(n+1) || conn.RemoteAddr().String() != friend.LocalAddr().String() {
			t.Errorf("%d were refused, and %s came in", doors.Gate.Refused(), conn.RemoteAddr())
		}
	}
}
