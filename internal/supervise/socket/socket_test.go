package socket_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/supervise/socket"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]socket.Spec{
		":8080":                  {Network: "tcp", Address: ":8080"},
		"https=:8080":            {Name: "https", Network: "tcp", Address: ":8080"},
		"udp:[::1]:514":          {Network: "udp", Address: "[::1]:514"},
		"log.udp=udp:0.0.0.0:51": {Name: "log.udp", Network: "udp", Address: "0.0.0.0:51"},
		"x=unix:/run/a=b":        {Name: "x", Network: "unix", Address: "/run/a=b"},
	} {
		got, err := socket.Parse(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		if again, err := socket.Parse(got.String()); err != nil || again != got {
			t.Errorf("%q does not come back: %+v, %v", got, again, err)
		}
	}
	for _, text := range []string{"", "8080", "=:8080", "a:b=:1", "unix:here", "a b=:1"} {
		if _, err := socket.Parse(text); penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func bind(t *testing.T, text string) *socket.Socket {
	t.Helper()
	spec, err := socket.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	s, err := spec.Bind(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// A connection that comes while no program serves waits and is answered.
func TestConnectionsQueue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, text := range []string{"tcp:127.0.0.1:0", "unix:" + path} {
		s := bind(t, text)
		conn, err := net.Dial(s.Network, s.Bound)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fd, err := unix.Dup(s.Descriptor())
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), "socket")
		l, err := net.FileListener(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		served, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(served, "here")
		served.Close()
		l.Close()
		if text, err := io.ReadAll(conn); string(text) != "here" {
			t.Errorf("got %q, %v", text, err)
		}
	}
}

func TestUDP(t *testing.T) {
	s := bind(t, "udp:127.0.0.1:0")
	conn, err := net.Dial("udp", s.Bound)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "waits")
	buffer := make([]byte, 10)
	for {
		n, _, err := unix.Recvfrom(s.Descriptor(), buffer, 0)
		if err == unix.EAGAIN || err == unix.EINTR {
			continue
		}
		if string(buffer[:max(n, 0)]) != "waits" {
			t.Errorf("got %q, %v", buffer[:max(n, 0)], err)
		}
		return
	}
}

func TestAnAddressThatIsTaken(t *testing.T) {
	s := bind(t, "127.0.0.1:0")
	_, err := socket.Spec{Name: "api", Network: "tcp", Address: s.Bound}.Bind(t.Context())
	if penstock.CodeOf(err) != penstock.Unavailable || !strings.Contains(err.Error(), "another program") || !strings.Contains(err.Error(), "api=tcp:127") {
		t.Errorf("got %v", err)
	}
	path := filepath.Join(t.TempDir(), "s")
	bind(t, "unix:"+path)
	if _, err := (socket.Spec{Network: "unix", Address: path}).Bind(t.Context()); penstock.CodeOf(err) != penstock.Unavailable {
		t.Errorf("a socket that is served is taken away: %v", err)
	}
	dead := filepath.Join(t.TempDir(), "dead")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	bind(t, "unix:"+dead)
}
