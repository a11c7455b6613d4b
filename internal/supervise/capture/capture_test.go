package capture_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/supervise/capture"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func now() time.Time { return time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC) }

// read returns the lines of a text, each with its severity before it.
func read(t *testing.T, text string) (lines []string) {
	t.Helper()
	err := capture.Read(strings.NewReader(text), capture.Notice, func(s capture.Severity, line string) {
		lines = append(lines, s.String()+" "+line)
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestSeverities(t *testing.T) {
	for line, want := range map[string]string{
		"plain":                         "notice plain",
		"<3>failed":                     "err failed",
		"<9>what":                       "notice <9>what",
		"<3":                            "notice <3",
		`{"level":"warn","msg":"x"}`:    `warning {"level":"warn","msg":"x"}`,
		`{"level":"INFO","msg":"x"}`:    `info {"level":"INFO","msg":"x"}`,
		`{"level":50,"msg":"pino"}`:     `err {"level":50,"msg":"pino"}`,
		`{"level":20}`:                  `debug {"level":20}`,
		`{"severity":"CRITICAL"}`:       `crit {"severity":"CRITICAL"}`,
		`{"level":{}}`:                  `notice {"level":{}}`,
		`{not json`:                     `notice {not json`,
		`time=now level=ERROR msg="no"`: `err time=now level=ERROR msg="no"`,
		`level="debug" x`:               `debug level="debug" x`,
		"level=deep water":              "notice level=deep water",
		"bad \xff bytes":                "notice bad \ufffd bytes",
		`{"level":"fatal","level2":"info"}` + "\r": `crit {"level":"fatal","level2":"info"}`,
	} {
		if got := read(t, line+"\n"); !slices.Equal(got, []string{want}) {
			t.Errorf("%q is read as %q", line, got)
		}
	}
}

func TestLines(t *testing.T) {
	if got := read(t, "one\n\ntwo\nlast"); !slices.Equal(got, []string{"notice one", "notice two", "notice last"}) {
		t.Errorf("got %q", got)
	}
	long := strings.Repeat("x", 40<<10)
	got := read(t, long+"\nshort\n")
	if len(got) != 4 || got[3] != "notice short" || len(strings.ReplaceAll(strings.Join(got[:3], ""), "notice ", "")) != len(long) {
		t.Errorf("a long line comes in %d pieces", len(got))
	}
	broken := io.MultiReader(strings.NewReader("so far"), failing{})
	seen := 0
	if err := capture.Read(broken, capture.Info, func(capture.Severity, string) { seen++ }); !errors.Is(err, errBroken) || seen != 1 {
		t.Errorf("%v after %d lines", err, seen)
	}
}

var errBroken = errors.New("broken")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }

func FuzzRead(f *testing.F) {
	f.Add([]byte("<3>x\n{\"level\":1e999}\nlevel=\n"))
	f.Add(bytes.Repeat([]byte("y"), 20<<10))
	f.Fuzz(func(t *testing.T, data []byte) {
		err := capture.Read(bytes.NewReader(data), capture.Info, func(s capture.Severity, line string) {
			if s > capture.Debug || len(line) > 3*16<<10 || strings.Contains(line, "\n") {
				t.Errorf("%q gives %d %q", data, s, line)
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// slow is a destination that takes lines only when it may.
type slow struct {
	mu     sync.Mutex
	err    error
	lines  []string
	closed bool
}

func (s *slow) Write(l *capture.Line) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.lines = append(s.lines, l.Text)
	return nil
}

func (s *slow) Close() error { s.closed = true; return nil }

// A destination that fails or is behind holds nobody up, and what it misses is
// counted and said.
func TestALogNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := capture.New(capture.Info, now)
		to := &slow{err: errBroken}
		for i := range 5000 {
			l.Add(capture.Line{Severity: capture.Info, Program: "p", Text: fmt.Sprint(i)})
		}
		l.Add(capture.Line{Severity: capture.Debug, Text: "is not wanted"})
		ctx, stop := context.WithCancel(t.Context())
		var work sync.WaitGroup
		work.Go(func() {
			if err := l.Run(ctx, to); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		if lost, err := l.Trouble(); lost != 5000 || !errors.Is(err, errBroken) {
			t.Errorf("%d lost, %v", lost, err)
		}
		to.mu.Lock()
		to.err = nil
		to.mu.Unlock()
		l.Add(capture.Line{Severity: capture.Error, Text: "again"})
		synctest.Wait()
		if lost, err := l.Trouble(); lost != 0 || err != nil {
			t.Errorf("%d lost, %v", lost, err)
		}
		l.Add(capture.Line{Severity: capture.Error, Text: "last"})
		stop()
		work.Wait()
		if want := []string{"5000 lines of programs are missing here: they came faster than they could be written, or could not be", "again", "last"}; !slices.Equal(to.lines, want) || !to.closed {
			t.Errorf("got %q", to.lines)
		}
	})
}

func TestTheLatestLinesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := capture.New(capture.Debug, now)
		for i := range 3000 {
			l.Add(capture.Line{Program: "p", Text: fmt.Sprint(i)})
		}
		var got []string
		show := func(line *capture.Line) error { got = append(got, line.Text); return nil }
		all := func(*capture.Line) bool { return true }
		if err := l.Show(t.Context(), 2, false, all, show); err != nil || !slices.Equal(got, []string{"2998", "2999"}) {
			t.Errorf("%q, %v", got, err)
		}
		got = nil
		if err := l.Show(t.Context(), 1<<30, false, all, show); err != nil || len(got) != 2048 {
			t.Errorf("%d lines are kept, %v", len(got), err)
		}
		got = nil
		ctx, stop := context.WithCancel(t.Context())
		var work sync.WaitGroup
		work.Go(func() {
			if err := l.Show(ctx, 1, true, func(line *capture.Line) bool { return line.Program == "q" }, show); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		l.Add(capture.Line{Program: "p", Text: "is not asked for"})
		l.Add(capture.Line{Program: "q", Text: "came"})
		synctest.Wait()
		for range 4 { // four lines of half a mebibyte: two are kept
			l.Add(capture.Line{Program: "big", Text: strings.Repeat("x", 500<<10)})
		}
		stop()
		work.Wait()
		if !slices.Equal(got, []string{"came"}) {
			t.Errorf("followed %q", got)
		}
		got = nil
		if err := l.Show(t.Context(), 100, false, all, show); err != nil || len(got) != 2 {
			t.Errorf("%d big lines are kept, %v", len(got), err)
		}
		if err := l.Show(t.Context(), 100, false, all, func(*capture.Line) error { return errBroken }); !errors.Is(err, errBroken) {
			t.Errorf("the error of the one who is shown: %v", err)
		}
	})
}

func line(text string) *capture.Line {
	return &capture.Line{Time: now(), Severity: capture.Warning, Program: "web", Instance: 2, PID: 417, Text: text}
}

func TestStream(t *testing.T) {
	var out bytes.Buffer
	s := capture.NewStream(&out)
	if err := errors.Join(s.Write(line("hot")), s.Write(&capture.Line{Time: now(), Program: "supervise", PID: 1, Text: "x"}), s.Close()); err != nil {
		t.Fatal(err)
	}
	if want := "2026-11-22T06:00:00.000Z warning web/2[417] hot\n2026-11-22T06:00:00.000Z emerg supervise[1] x\n"; out.String() != want {
		t.Errorf("got %s", &out)
	}
}

func TestFilesRotate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	write := func(n int) {
		f, err := capture.NewFiles(dir, 200, 2)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if err := f.Write(line(fmt.Sprintf("%02d %s", i, strings.Repeat("x", 40)))); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	first := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err.Error()
		}
		if len(text) > 200 {
			t.Errorf("%s has %d bytes", name, len(text))
		}
		_, rest, _ := strings.Cut(string(text), "[417] ")
		return rest[:2]
	}
	write(1)
	write(10) // goes on in the file that is there
	got := []string{first("web-2.log"), first("web-2.log.1"), first("web-2.log.2")}
	if !slices.Equal(got, []string{"09", "07", "05"}) {
		t.Errorf("the files begin with %q", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "web-2.log.3")); !os.IsNotExist(err) {
		t.Errorf("a third is kept: %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "web-2.log")); err != nil || info.Mode().Perm()&0o027 != 0 {
		t.Errorf("others may read it: %v", info.Mode())
	}
	if _, err := capture.NewFiles("/proc/no/such", 200, 2); err == nil {
		t.Error("a directory that cannot be made is no error")
	}
}

func TestSyslog(t *testing.T) {
	const want = "<28>1 2026-11-22T06:00:00.000000Z %s web/2 417 - - hot"
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	full := fmt.Sprintf(want, host)
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	path := filepath.Join(t.TempDir(), "log")
	unix, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	for address, at := range map[string]net.PacketConn{"udp:" + udp.LocalAddr().String(): udp, "unix:" + path: unix} {
		s, err := capture.NewSyslog(address, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Write(line("hot")); err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, 1000)
		n, _, err := at.ReadFrom(buffer)
		if got := string(buffer[:n]); got != full || err != nil {
			t.Errorf("%s gets %q, %v", address, got, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	s, err := capture.NewSyslog("tcp:"+tcp.Addr().String(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := errors.Join(s.Write(line("hot")), s.Write(line("hot"))); err != nil {
		t.Fatal(err)
	}
	conn, err := tcp.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for range 2 {
		got := make([]byte, len(fmt.Sprintf("%d %s", len(full), full)))
		if _, err := io.ReadFull(in, got); err != nil || string(got) != fmt.Sprintf("%d %s", len(full), full) {
			t.Errorf("TCP gets %q, %v", got, err)
		}
	}
	for _, address := range []string{"", "udp", "http:there", "unix:"} {
		if _, err := capture.NewSyslog(address, time.Now); penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// A daemon that is down is asked again only after a while, and found again.
func TestADestinationThatIsDown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	at := now()
	j := capture.NewJournal(path, func() time.Time { return at })
	if err := j.Write(line("lost")); err == nil {
		t.Fatal("nobody listens, and it is no error")
	}
	journal, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	if err := j.Write(line("lost")); err == nil {
		t.Error("it was asked again at once")
	}
	at = at.Add(2 * time.Second)
	if err := j.Write(line("two\nlines")); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 1000)
	n, _, err := journal.ReadFrom(buffer)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for rest := buffer[:n]; len(rest) > 0; {
		name, value, _ := bytes.Cut(rest, []byte("\n"))
		size := binary.LittleEndian.Uint64(value)
		fields[string(name)] = string(value[8 : 8+size])
		rest = value[8+size+1:]
	}
	if fields["PRIORITY"] != "4" || fields["SYSLOG_IDENTIFIER"] != "web" || fields["SUPERVISE_INSTANCE"] != "2" || fields["MESSAGE"] != "two\nlines" {
		t.Errorf("%q", fields)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

func TestHandler(t *testing.T) {
	l := capture.New(capture.Info, now)
	log := slog.New(l.Handler("supervise")).With("program", "web/1")
	log.Debug("is not wanted")
	log.Error("it failed", "error", errors.New("no room"), "count", 3)
	var got []string
	err := l.Show(t.Context(), 10, false, func(*capture.Line) bool { return true }, func(line *capture.Line) error {
		got = append(got, line.Severity.String()+" "+line.Name()+" "+line.Text)
		return nil
	})
	if err != nil || !slices.Equal(got, []string{`err supervise it failed program=web/1 error="no room" count=3`}) {
		t.Errorf("%q, %v", got, err)
	}
	var s capture.Severity
	if err := s.UnmarshalText([]byte("warn")); err != nil || s != capture.Warning {
		t.Errorf("%v, %v", s, err)
	}
	if err := s.UnmarshalText([]byte("loud")); err == nil {
		t.Error("loud is a severity")
	}
}
