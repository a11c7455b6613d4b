package allow_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/allow"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestGateLetsInWhomTheListNames(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for _, c := range []struct {
		list allow.List
		from string
		want bool
	}{
		{nil, "203.0.113.9", true},
		{allow.List{"10.0.0.0/8"}, "10.1.2.3", true},
		{allow.List{"10.0.0.0/8"}, "::ffff:10.1.2.3", true},
		{allow.List{"10.1.2.3/8"}, "10.9.9.9", true},
		{allow.List{"10.0.0.0/8"}, "11.1.2.3", false},
		{allow.List{"10.0.0.7"}, "10.0.0.7", true},
		{allow.List{"10.0.0.7"}, "10.0.0.8", false},
		{allow.List{"10.0.0.0/8"}, "127.0.0.1", true},
		{allow.List{"10.0.0.0/8"}, "::1", true},
		{allow.List{"2001:db8::/32", "192.0.2.0/24"}, "2001:db8::5", true},
		{allow.List{"2001:db8::/32", "192.0.2.0/24"}, "192.0.2.5", true},
		{allow.List{"fe80::/10"}, "fe80::1%eth0", true},
		{allow.List{"2001:db8::/32"}, "192.0.2.5", false},
	} {
		g, err := allow.NewGate(c.list, log, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.Lets(netip.MustParseAddr(c.from)); got != c.want {
			t.Errorf("%v lets %s in: %v", c.list, c.from, got)
		}
		if refused := g.Refused() == 1; refused == c.want {
			t.Errorf("%v and %s: %d refused", c.list, c.from, g.Refused())
		}
	}
}

func TestListRefusesWhatIsNoNetwork(t *testing.T) {
	for _, text := range []string{"", "10.0.0.0/33", "example.org", "10.0.0"} {
		if err := (allow.List{"10.0.0.0/8", text}).Validate(); penstock.CodeOf(err) != penstock.Invalid || !strings.Contains(err.Error(), `"`+text+`"`) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestListenerClosesStrangers(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	outside := ownAddress(t)
	var log bytes.Buffer
	g, err := allow.NewGate(allow.List{"240.0.0.0/8"}, slog.New(slog.NewTextHandler(&log, nil)), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	gated := g.Listener(l)
	for range 3 { // each is closed without a byte; nobody accepts before the friend comes
		stranger, err := net.Dial("tcp", net.JoinHostPort(outside, port))
		if err != nil {
			t.Fatal(err)
		}
		defer stranger.Close()
	}
	friend, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		t.Fatal(err)
	}
	defer friend.Close()
	conn, err := gated.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if conn.RemoteAddr().String() != friend.LocalAddr().String() {
		t.Errorf("%s came in, not %s", conn.RemoteAddr(), friend.LocalAddr())
	}
	if g.Refused() != 3 || strings.Count(log.String(), "peer="+outside) != 1 {
		t.Errorf("%d were refused; the log: %s", g.Refused(), log.String())
	}
}

func TestStrangersReadTheirEnd(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	g, err := allow.NewGate(allow.List{"240.0.0.0/8"}, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := g.Listener(l).Accept()
		ended <- err
	}()
	// The reset may come before the connection is known to be made.
	stranger, err := net.Dial("tcp", net.JoinHostPort(ownAddress(t), port))
	if err == nil {
		defer stranger.Close()
		err = stranger.SetReadDeadline(time.Now().Add(10 * time.Second))
		if err == nil {
			_, err = stranger.Read(make([]byte, 1))
		}
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a stranger got %v", err)
	}
	l.Close()
	if err := <-ended; err == nil {
		t.Error("a stranger came in")
	}
}

// ownAddress returns an address of this machine that is not that of loopback.
func ownAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	t.Fatal("the test needs an address beside 127.0.0.1")
	return ""
}
