package sockets_test

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/app/sockets"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/source/framed"
)

func TestAPortThatIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = sockets.Set{}.Listen("wells", "sources.wells", config.Address(l.Addr().String()))
	if penstock.CodeOf(err) != penstock.Unavailable {
		t.Fatalf("code %s", penstock.CodeOf(err))
	}
	for _, part := range []string{"sources.wells: ", l.Addr().String(), "the port is held by ", fmt.Sprintf("(pid %d, user ", os.Getpid())} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
}

// handedOver returns sockets as a process manager hands them over.
func handedOver(t *testing.T, name string, from interface{ File() (*os.File, error) }) sockets.Set {
	t.Helper()
	file, err := from.File()
	if err != nil {
		t.Fatal(err)
	}
	s := sockets.Set{name: file}
	t.Cleanup(s.Close)
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
		lent, err := s.Listen("mqtt", "listen.mqtt", ":1883")
		if err != nil {
			t.Fatal(err)
		}
		if lent.Addr().String() != l.Addr().String() {
			t.Errorf("it listens at %s", lent.Addr())
		}
		lent.Close()
	}
	if _, err := s.ListenPacket("mqtt", "listen.mqtt", ":1883"); penstock.CodeOf(err) != penstock.Invalid || !strings.Contains(err.Error(), "listen.mqtt: ") {
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
	lent, err := s.ListenPacket("link_udp", "listen.link_udp", ":5427")
	if err != nil {
		t.Fatal(err)
	}
	defer lent.Close()
	if _, isUDP := lent.(*net.UDPConn); !isUDP || lent.LocalAddr().String() != c.LocalAddr().String() {
		t.Errorf("it is a %T at %s", lent, lent.LocalAddr())
	}
	if _, err := s.Listen("link_udp", "listen.link_udp", ":5427"); penstock.CodeOf(err) != penstock.Invalid {
		t.Errorf("a socket for datagrams is taken for a listener: %v", err)
	}
	if _, err := s.ListenPacket("other", "sources.other", config.Address(c.LocalAddr().String())); penstock.CodeOf(err) != penstock.Unavailable {
		t.Errorf("an address that is taken: %v", err)
	}
}

func TestSocketsThatNobodyTakesAreNamed(t *testing.T) {
	c := settings.Default()
	c.Listen.MQTT, c.Listen.Health = "127.0.0.1:1883", config.AddressOff
	c.Sources = []settings.Source{{Name: "wells", Framed: &framed.Config{}}}
	s := sockets.Set{"https": nil, "health": nil, "mqtt": nil, "link": nil, "wells": nil, "wells.udp": nil, "wellsudp": nil}
	if got := s.Unused(&c); !slices.Equal(got, []string{"health", "link", "wellsudp"}) {
		t.Errorf("got %q", got)
	}
}
