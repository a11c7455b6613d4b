package proxied_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/allow"
	"github.com/penstock/penstock/internal/proxied"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// The addresses of this machine that the tests connect from.
const (
	balancer = "127.0.0.2"
	other    = "127.0.0.3"
)

// stand is a listener behind balancers in 127.0.0.2.
type stand struct {
	net.Listener
	door *proxied.Door
	log  *lines
}

// lines is a log that is written beside being read.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newStand(t *testing.T) *stand {
	t.Helper()
	s := &stand{log: &lines{}}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.door, err = proxied.New(allow.List{balancer}, slog.New(slog.NewTextHandler(s.log, nil)), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	s.Listener = s.door.Listener(inner)
	t.Cleanup(func() { s.Close() })
	return s
}

// dial connects from an address of this machine and says something.
func (s *stand) dial(t *testing.T, from string, say []byte) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Write(say); err != nil {
		t.Fatal(err)
	}
	return c
}

// taken accepts a connection, and reads n bytes of it.
func (s *stand) taken(t *testing.T, n int) (c net.Conn, said string) {
	t.Helper()
	c, err := s.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return c, string(b)
}

var client = netip.MustParseAddrPort("198.51.100.7:40000")

func TestConnectionsHaveTheClientsAddress(t *testing.T) {
	s := newStand(t)
	s.dial(t, balancer, append(through(client), "hello"...))
	c, said := s.taken(t, 5)
	if c.RemoteAddr().String() != client.String() || said != "hello" {
		t.Errorf("%s said %q", c.RemoteAddr(), said)
	}
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil || raw.Control(func(uintptr) {}) != nil {
		t.Errorf("the options of the socket cannot be reached: %v", err)
	}
	if err := c.(interface{ SetLinger(int) error }).SetLinger(0); err != nil {
		t.Errorf("linger: %v", err)
	}
}

// TestAHeaderFromOthersIsNone has somebody give himself an address.
func TestAHeaderFromOthersIsNone(t *testing.T) {
	s := newStand(t)
	forged := through(client)
	s.dial(t, other, forged)
	c, said := s.taken(t, len(forged))
	if !strings.HasPrefix(c.RemoteAddr().String(), other+":") || said != string(forged) {
		t.Errorf("%s said %q", c.RemoteAddr(), said)
	}
}

// TestSilentBalancersHoldUpNobody has more of them than are waited for at once.
func TestSilentBalancersHoldUpNobody(t *testing.T) {
	s := newStand(t)
	for range 100 {
		s.dial(t, balancer, nil)
		s.dial(t, balancer, through(client)[:15])
	}
	s.dial(t, other, []byte("x"))
	s.dial(t, balancer, append(through(client), 'y'))
	_, one := s.taken(t, 1)
	_, two := s.taken(t, 1)
	if one+two != "xy" && one+two != "yx" {
		t.Errorf("got %q and %q", one, two)
	}
}

func TestHealthChecksAreNobodysBusiness(t *testing.T) {
	s := newStand(t)
	local := header(0x20, 0, nil, nil)
	for range 3 {
		s.dial(t, balancer, nil).Close()
		s.dial(t, balancer, local).Close()
	}
	s.dial(t, balancer, append(local, "hello"...)) // its own, and more than a check
	c, said := s.taken(t, 5)
	if !strings.HasPrefix(c.RemoteAddr().String(), balancer+":") || said != "hello" {
		t.Errorf("%s said %q", c.RemoteAddr(), said)
	}
	if s.door.Refused() != 0 || s.log.String() != "" {
		t.Errorf("%d were refused: %s", s.door.Refused(), s.log)
	}
}

func TestBalancersWithoutAHeaderAreRefused(t *testing.T) {
	s := newStand(t)
	accepted := make(chan error, 1)
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() {
		_, err := s.Accept()
		accepted <- err
	})
	for _, say := range []string{"PROXY TCP4 198.51.100.7 192.0.2.1 1 2\r\n", "GET / HTTP/1.1\r\n", signature + "\x31\x11\x00\x00"} {
		c := s.dial(t, balancer, []byte(say))
		if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, net.ErrClosed) {
			t.Errorf("after %q: %v", say, err)
		}
	}
	testkit.Eventually(t, func() bool { return s.door.Refused() == 3 }, "three to be refused")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if log := s.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "peer="+balancer) || !strings.Contains(log, "send-proxy-v2") {
		t.Errorf("the log: %s", log)
	}
}

// TestCloseLosesNobodyWhoHadCome closes the listener while connections wait to be
// taken.
func TestCloseLosesNobodyWhoHadCome(t *testing.T) {
	s := newStand(t)
	s.dial(t, other, []byte("0"))
	s.taken(t, 1)
	s.dial(t, other, []byte("1"))
	s.dial(t, balancer, append(through(client), '2'))
	late := s.dial(t, balancer, through(client)[:3])
	var work sync.WaitGroup
	defer work.Wait()
	// One of them is in hand; the others may not have been taken from the system yet.
	s.taken(t, 1)
	work.Go(func() { s.Close() })
	for {
		c, err := s.Accept()
		if errors.Is(err, net.ErrClosed) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	if err := late.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := late.Read(make([]byte, 1)); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("who sent no header is still connected: %v", err)
	}
	if _, err := s.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after its end: %v", err)
	}
}

func TestAListenerThatNobodyUsedCloses(t *testing.T) {
	s := newStand(t)
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if _, err := s.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
}

func TestWithoutBalancersTheListenerIsItself(t *testing.T) {
	d, err := proxied.New(nil, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	inner := &offered{}
	if l := d.Listener(inner); l != net.Listener(inner) {
		t.Errorf("it is a %T", l)
	}
	if _, err := proxied.New(allow.List{"nowhere"}, slog.New(slog.DiscardHandler), time.Now); penstock.CodeOf(err) != penstock.Invalid {
		t.Errorf("no network: %v", err)
	}
}

// offered is a listener that hands out what it is given.
type offered struct {
	net.Listener
	results chan result
}

type result struct {
	conn net.Conn
	err  error
}

func (o *offered) Accept() (net.Conn, error) {
	r, ok := <-o.results
	if !ok {
		return nil, net.ErrClosed
	}
	return r.conn, r.err
}

func (o *offered) Close() error { close(o.results); return nil }

// pipe is a connection of the balancer's.
type pipe struct{ net.Conn }

func (pipe) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(balancer), Port: 1} }

// TestTimes has the time of headers run out, and that of nothing else.
func TestTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		d, err := proxied.New(allow.List{balancer}, slog.New(slog.NewTextHandler(&log, nil)), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		inner := &offered{results: make(chan result, 300)}
		l := d.Listener(inner)
		defer l.Close()
		begun := time.Now()
		ends := make([]net.Conn, 257)
		for i := range ends { // the last one waits until there is a place for it
			here, there := net.Pipe()
			defer there.Close()
			ends[i] = there
			inner.results <- result{conn: pipe{here}}
		}
		inner.results <- result{err: syscall.EMFILE}
		var work sync.WaitGroup
		work.Go(func() {
			if _, err := ends[256].Write(append(through(client), 'x')); err != nil {
				t.Error(err)
			}
		})
		var c net.Conn
		for c == nil {
			if c, err = l.Accept(); err != nil && !errors.Is(err, syscall.EMFILE) {
				t.Fatal(err)
			}
		}
		if waited := time.Since(begun); waited != 5*time.Second || d.Refused() == 0 || !strings.Contains(log.String(), "within 5s") {
			t.Errorf("after %s %d were refused: %s", waited, d.Refused(), log.String())
		}
		time.Sleep(time.Hour)
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Errorf("an hour later: %v", err)
		}
		work.Wait()
		c.Close()
		synctest.Wait()
		if d.Refused() != 256 {
			t.Errorf("%d were refused", d.Refused())
		}
	})
}

// TestCloseWaitsAMoment has a header awaited when the listener is closed.
func TestCloseWaitsAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := proxied.New(allow.List{balancer}, slog.New(slog.DiscardHandler), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		inner := &offered{results: make(chan result, 1)}
		l := d.Listener(inner)
		here, there := net.Pipe()
		defer there.Close()
		inner.results <- result{conn: pipe{here}}
		var work sync.WaitGroup
		work.Go(func() {
			if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Accept: %v", err)
			}
		})
		synctest.Wait()
		begun := time.Now()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took != time.Second {
			t.Errorf("it took %s", took)
		}
		work.Wait()
	})
}
