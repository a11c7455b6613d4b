package journald_test

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/logging/flat"
	"github.com/penstock/penstock/internal/logging/journald"
)

// fields reads an entry as the journal does.
func fields(t *testing.T, entry string) map[string]string {
	t.Helper()
	read := map[string]string{}
	for entry != "" {
		line, rest, found := strings.Cut(entry, "\n")
		if !found {
			t.Fatalf("no end of line: %q", entry)
		}
		if name, value, plain := strings.Cut(line, "="); plain {
			read[name], entry = value, rest
			continue
		}
		size := binary.LittleEndian.Uint64([]byte(rest[:8]))
		read[line], entry = rest[8:8+size], rest[8+size+1:]
	}
	return read
}

func TestEntriesArrive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	s := journald.NewSender(path)
	ctx := context.Background()
	if err := s.Probe(ctx); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("without a journal: %v", err)
	}
	journal, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	for _, stack := range []string{"short", strings.Repeat("frame\n", 100_000)} {
		entry := journald.Encoder("penstock")(nil, flat.Line{
			Time: time.UnixMicro(5), Level: slog.LevelError, Message: "a step\npanicked",
			Fields: []flat.Field{{Key: "controller", Value: "pump-17"}, {Key: "_odd key=", Value: "x=y"}, {Key: "stack", Value: stack}},
		})
		if err := s.Send(ctx, entry); err != nil {
			t.Fatal(err)
		}
		got := fields(t, receive(t, journal))
		for name, want := range map[string]string{
			"MESSAGE": "a step\npanicked", "PRIORITY": "3", "SYSLOG_IDENTIFIER": "penstock", "PENSTOCK_TIMESTAMP": "5",
			"PENSTOCK_CONTROLLER": "pump-17", "PENSTOCK__ODD_KEY_": "x=y", "PENSTOCK_STACK": stack,
		} {
			if got[name] != want {
				t.Errorf("%s is %.40q", name, got[name])
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// receive returns an entry, out of the file in memory where one came.
func receive(t *testing.T, journal *net.UnixConn) string {
	t.Helper()
	b, rights := make([]byte, 1<<20), make([]byte, 1024)
	n, nr, _, _, err := journal.ReadMsgUnix(b, rights)
	if err != nil {
		t.Fatal(err)
	}
	if nr == 0 {
		return string(b[:n])
	}
	messages, err := syscall.ParseSocketControlMessage(rights[:nr])
	if err != nil {
		t.Fatal(err)
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fds[0]), "entry")
	defer file.Close()
	if _, err := file.WriteString("x"); err == nil {
		t.Error("the file in memory can still be written")
	}
	text, err := io.ReadAll(io.NewSectionReader(file, 0, 1<<30))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
