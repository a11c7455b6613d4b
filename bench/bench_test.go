package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/bench/bodies"
	"github.com/penstock/penstock/bench/process"
	"github.com/penstock/penstock/internal/sim"
	"github.com/penstock/penstock/internal/sim/simtest"
	"github.com/penstock/penstock/link"
)

// TestMain runs the tests, or, when a test starts this program as a server, the
// fake gateway or the bare server.
func TestMain(m *testing.M) {
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == "serve":
		err = simtest.Serve(os.Args[1:], simtest.Faults{})
	case len(os.Args) == 3 && os.Args[1] == bareCommand:
		err = serveBare(os.Args[2])
	default:
		goleak.VerifyTestMain(m) // it ends the process
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Both formats of body say the same, and every body is a new report.
func TestBodies(t *testing.T) {
	const readings = 100
	text, binary := bodies.JSON(3, readings, 77), bodies.Binary(3, readings, 77)
	seen := map[string]bool{}
	for range 3 * bodies.ControllersEach {
		var fromText struct {
			Controller string
			Epoch, Seq uint64
			Samples    []struct {
				Point string
				Time  int64
				Value float64
			}
		}
		if err := json.Unmarshal(text(nil), &fromText); err != nil {
			t.Fatal(err)
		}
		var d link.Decoder
		var r penstock.Report
		if _, err := d.Decode(binary(nil), &r); err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprint(fromText.Controller, fromText.Epoch, "/", fromText.Seq)
		if seen[id] || id != r.Controller+r.Identity.String() || len(fromText.Samples) != readings || len(r.Samples) != readings {
			t.Fatalf("JSON has %s with %d readings, binary %s%s with %d", id, len(fromText.Samples), r.Controller, r.Identity, len(r.Samples))
		}
		seen[id] = true
		for i, s := range r.Samples {
			other := fromText.Samples[i]
			if other.Point != s.Point || other.Value < 100 || other.Value >= 1000 || s.Value.Float() < 100 || s.Value.Float() >= 1000 ||
				time.Since(time.Unix(0, other.Time)).Abs() > time.Minute || i > 0 && other.Time <= fromText.Samples[i-1].Time {
				t.Fatalf("reading %d is %+v in JSON and %+v in binary", i, other, s)
			}
		}
	}
}

func TestAnswersAreRead(t *testing.T) {
	for name, c := range map[string]struct {
		raw    string
		status int
		body   string
	}{
		"length":  {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhelloHTTP", 200, "hello"},
		"chunks":  {"HTTP/1.1 207 Multi\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 207, "abcde"},
		"nothing": {"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", 503, ""},
	} {
		conn := connection{in: bufio.NewReader(strings.NewReader(c.raw))}
		status, err := conn.read()
		if err != nil || status != c.status || string(conn.answer) != c.body {
			t.Errorf("%s: %d %q %v", name, status, conn.answer, err)
		}
	}
	for _, raw := range []string{"", "HTTP\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "HTTP/1.1 200 OK\r\n\r\nzz\r\n"} {
		conn := connection{in: bufio.NewReader(strings.NewReader(raw))}
		if _, err := conn.read(); err == nil {
			t.Errorf("%q passes for an answer", raw)
		}
	}
}

func self(t *testing.T) string {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// A load counts what the server took, and its processor time.
func TestLoad(t *testing.T) {
	s := settings{length: 400 * time.Millisecond, connections: 2}
	directory := t.TempDir()
	gateway, err := process.Gateway(t.Context(), self(t), directory)
	if err != nil {
		t.Fatal(err)
	}
	defer gateway.Stop()
	for _, w := range []work{works[2], works[5]} {
		f, err := s.load(&trial{work: w, server: gateway}, 0).run(t.Context(), gateway)
		if err != nil {
			t.Fatal(err)
		}
		if f.requests == 0 || f.p50 == 0 || f.p99 < f.p50 || f.peak < 1<<20 || f.cpu == 0 {
			t.Errorf("%s: %+v", w.name, f)
		}
	}
	slow, err := s.load(&trial{work: works[2], server: gateway}, 50).run(t.Context(), gateway)
	if err != nil || slow.requests < 10 || slow.requests > 30 {
		t.Errorf("at 50 requests a second %d came in 0.4 s: %v", slow.requests, err)
	}
}

// A server that refuses ends the load with its words.
func TestLoadThatIsRefused(t *testing.T) {
	gateway, err := process.Gateway(t.Context(), self(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer gateway.Stop()
	s := settings{length: 10 * time.Second, connections: 2}
	l := s.load(&trial{work: works[2], server: gateway}, 0)
	l.endpoint.Token = "wrong"
	if _, err := l.run(t.Context(), gateway); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("got %v", err)
	}
}

func TestProcessThatFails(t *testing.T) {
	_, err := process.Start(t.Context(), func() (sim.Endpoint, error) { return sim.Endpoint{}, os.ErrNotExist }, "/bin/sh", "-c", "echo no room; exit 1")
	if err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("got %v", err)
	}
}

func TestTable(t *testing.T) {
	table := newTable("Speed", "what", "value")
	table.row("x × y", number(1_234_567))
	table.row("z", ratio(1, 2))
	want := "\n## Speed\n\n| what  | value          |\n|-------|----------------|\n| x × y | 1.23 M         |\n| z     | 0.50 **below** |\n"
	if got := table.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestUsage(t *testing.T) {
	directory := t.TempDir()
	for name, n := range map[string]int{"a": 10, "b": 20} {
		if err := os.WriteFile(filepath.Join(directory, name), make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := usage(directory); got != 30 {
		t.Errorf("10 and 20 bytes are %d", got)
	}
}
