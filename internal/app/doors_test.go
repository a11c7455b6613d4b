package app

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/allow"
	"github.com/penstock/penstock/internal/app/doors"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/config"
)

// TestTheClientCountsBehindABalancer has listen.allow judge who connected to the
// balancer, and the balancer itself where it asks for health.
func TestTheClientCountsBehindABalancer(t *testing.T) {
	doors, err := doors.Open(settings.Listen{Proxy: allow.List{"127.0.0.1"}, Allow: allow.List{"198.51.100.0/24"}}, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	l, err := openListeners(settings.Listen{HTTPS: "127.0.0.1:0", Health: "127.0.0.1:0"}, doors)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	dial := func(to net.Listener, say string) net.Conn {
		c, err := net.Dial("tcp", to.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := c.Write([]byte(say)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	const from = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"
	const to = "\xc0\x00\x02\x01\x9c\x40\x1f\x90" // 192.0.2.1, from port 40000 to 8080
	stranger, friend := dial(l.https, from+"\xcb\x00\x71\x09"+to), dial(l.https, from+"\xc6\x33\x64\x07"+to)
	defer stranger.Close()
	defer friend.Close()
	c, err := l.https.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.RemoteAddr().String() != "198.51.100.7:40000" {
		t.Errorf("%s came in", c.RemoteAddr())
	}
	if err := stranger.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	accepted := make(chan struct{})
	go func() { defer close(accepted); _, _ = l.https.Accept() }()
	if _, err := stranger.Read(make([]byte, 1)); err == nil || doors.Gate.Refused() != 1 {
		t.Errorf("a stranger behind the balancer got %v, and %d were refused", err, doors.Gate.Refused())
	}
	l.https.Close()
	<-accepted
	asking := dial(l.health, "GET /readyz HTTP/1.1\r\n\r\n")
	c, err = l.health.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.RemoteAddr().String() != asking.LocalAddr().String() {
		t.Errorf("%s asks for health", c.RemoteAddr())
	}
}

func TestBalancersInTheConfiguration(t *testing.T) {
	minute, long := config.Duration(time.Minute), config.Duration(2*time.Minute)
	for _, c := range []struct {
		listen settings.Listen
		drain  time.Duration
		wrong  string
	}{
		{listen: settings.Listen{}},
		{listen: settings.Listen{Drain: &minute}, drain: time.Minute},
		{listen: settings.Listen{Proxy: allow.List{"10.0.0.5"}}, drain: 3 * time.Second},
		{listen: settings.Listen{Proxy: allow.List{"10.0.0.5"}, Drain: new(config.Duration)}},
		{listen: settings.Listen{Proxy: allow.List{"10.0.0.5", "127.0.0.1"}, Allow: allow.List{"10.0.0.0/24"}}, drain: 3 * time.Second},
		{listen: settings.Listen{Proxy: allow.List{"10.0.0.5"}, Allow: allow.List{"192.0.2.0/24", "10.0.0.6"}}, drain: 3 * time.Second, wrong: "10.0.0.5 is not in listen.allow"},
		{listen: settings.Listen{Proxy: allow.List{"10.0.0.0/8"}, Allow: allow.List{"10.0.0.0/24"}}, drain: 3 * time.Second, wrong: "10.0.0.0/8 is not in listen.allow"},
		{listen: settings.Listen{Drain: &long}, drain: 2 * time.Minute, wrong: "listen.drain"},
	} {
		whole := settings.Default()
		whole.Listen.Proxy, whole.Listen.Allow, whole.Listen.Drain = c.listen.Proxy, c.listen.Allow, c.listen.Drain
		if got := whole.Listen.Draining(); got != c.drain {
			t.Errorf("%+v drains for %s", c.listen, got)
		}
		err := whole.Validate()
		if (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%+v: %v", c.listen, err)
		}
	}
}

func TestAGatewayWaitsForItsBalancers(t *testing.T) {
	failed, fail := context.WithCancel(t.Context())
	fail()
	doors.AwaitBalancers(failed, time.Hour) // returns at once: a part failed
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		doors.AwaitBalancers(t.Context(), time.Minute)
		if waited := time.Since(begun); waited != time.Minute {
			t.Errorf("it waited for %s", waited)
		}
	})
}
