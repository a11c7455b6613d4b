package app

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/allow"
	"github.com/penstock/penstock/internal/app/doors"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/framed"
)

func TestAPortThatIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = sockets{}.listen("wells", listenKey("wells"), config.Address(l.Addr().String()))
	if penstock.CodeOf(err) != penstock.Unavailable {
		t.Fatalf("code %s", penstock.CodeOf(err))
	}
	for _, part := range []string{"sources.wells: ", l.Addr().String(), "the port is held by ", fmt.Sprintf("(pid %d, user ", os.Getpid())} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
	if key := listenKey("mqtt"); key != "listen.mqtt" {
		t.Errorf("the broker's key is %s", key)
	}
}

func TestAddressesOfSourcesThatEndedAreForgotten(t *testing.T) {
	dir, err := openDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.close()
	b := &bound{dir: dir, log: slog.New(slog.DiscardHandler), addresses: map[string]string{}}
	for _, key := range []string{"listen.https", "listen.mqtt", "listen.link", "sources.a", "sources.b.udp", "sources.c"} {
		b.add(key, "127.0.0.1:1")
	}
	b.keep([]source.Spec{{Name: "link"}, {Name: "a"}, {Name: "b"}})
	text, err := os.ReadFile(dir.file("run", "addresses.json"))
	if err != nil {
		t.Fatal(err)
	}
	var left map[string]string
	if err := json.Unmarshal(text, &left); err != nil {
		t.Fatal(err)
	}
	if keys := slices.Sorted(maps.Keys(left)); !slices.Equal(keys, []string{"listen.https", "listen.link", "sources.a", "sources.b.udp"}) {
		t.Errorf("left are %q", keys)
	}
}

func TestListenersNeedAddressesOfTheirOwn(t *testing.T) {
	c := settings.Default()
	c.Listen.MQTT, c.Listen.Link, c.Listen.LinkUDP = c.Listen.HTTPS, ":5427", ":5427"
	err := c.Validate()
	if err == nil || !strings.Contains(err.Error(), "listen.mqtt: :8080 is the address of listen.https too") || strings.Contains(err.Error(), "listen.link") {
		t.Errorf("the error is: %v", err)
	}
}

// handedOver returns sockets as a process manager hands them over.
func handedOver(t *testing.T, name string, from interface{ File() (*os.File, error) }) sockets {
	t.Helper()
	file, err := from.File()
	if err != nil {
		t.Fatal(err)
	}
	s := sockets{name: file}
	t.Cleanup(s.close)
	return s
}

// A source that ends and comes again is lent the same socket: the manager has it
// open, so it could not be bound anew.
func TestASocketIsLentAgainAndAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := handedOver(t, "mqtt", l.(*net.TCPListener))
	for range 2 {
		lent, err := s.listen("mqtt", "listen.mqtt", ":1883")
		if err != nil {
			t.Fatal(err)
		}
		if lent.Addr().String() != l.Addr().String() {
			t.Errorf("it listens at %s", lent.Addr())
		}
		lent.Close()
	}
	if _, err := s.listenPacket("mqtt", "listen.mqtt", ":1883"); penstock.CodeOf(err) != penstock.Invalid || !strings.Contains(err.Error(), "listen.mqtt: ") {
		t.Errorf("a listener is taken for datagrams: %v", err)
	}
}

func TestDatagramSocketsAreHandedOver(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := handedOver(t, "link_udp", c.(*net.UDPConn))
	lent, err := s.listenPacket("link_udp", "listen.link_udp", ":5427")
	if err != nil {
		t.Fatal(err)
	}
	defer lent.Close()
	if _, isUDP := lent.(*net.UDPConn); !isUDP || lent.LocalAddr().String() != c.LocalAddr().String() {
		t.Errorf("it is a %T at %s", lent, lent.LocalAddr())
	}
	if _, err := s.listen("link_udp", "listen.link_udp", ":5427"); penstock.CodeOf(err) != penstock.Invalid {
		t.Errorf("a socket for datagrams is taken for a listener: %v", err)
	}
	if _, err := s.listenPacket("other", "sources.other", config.Address(c.LocalAddr().String())); penstock.CodeOf(err) != penstock.Unavailable {
		t.Errorf("an address that is taken: %v", err)
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

func TestSocketsThatNobodyTakesAreNamed(t *testing.T) {
	c := settings.Default()
	c.Listen.MQTT, c.Listen.Health = "127.0.0.1:1883", config.AddressOff
	c.Sources = []settings.Source{{Name: "wells", Framed: &framed.Config{}}}
	s := sockets{"https": nil, "health": nil, "mqtt": nil, "link": nil, "wells": nil, "wells.udp": nil, "wellsudp": nil}
	if got := s.unused(&c); !slices.Equal(got, []string{"health", "link", "wellsudp"}) {
		t.Errorf("got %q", got)
	}
}
