package journald_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/logging/flat"
	"github.com/penstock/penstock/internal/logging/journald"
	"github.com/penstock/penstock/internal/testkit"
)

// journalWorld starts systemd's journal where it sees a /run and a machine of its
// own, and keeps what it has in memory.
const journalWorld = `
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/systemd/journald.conf.d /run/log/journal/aaaabbbbccccddddeeeeffff00001111
echo aaaabbbbccccddddeeeeffff00001111 >/run/machine-id
mount --bind /run/machine-id /etc/machine-id
printf '[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=keep\nRateLimitBurst=0\n' >/run/systemd/journald.conf.d/test.conf
exec /usr/lib/systemd/systemd-journald
`

// startJournal returns the directory in which the journal sees /run.
func startJournal(t *testing.T) string {
	t.Helper()
	arguments := []string{"--mount", "--propagation", "private", "sh", "-euc", journalWorld}
	if os.Geteuid() != 0 {
		arguments = append([]string{"--user", "--map-root-user"}, arguments...)
	}
	cmd := exec.Command("unshare", arguments...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: run make tools", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended: then there is nothing to do
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the journal said: %s", &said)
		}
	})
	run := fmt.Sprintf("/proc/%d/root/run", cmd.Process.Pid)
	testkit.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(run, "systemd/journal/socket"))
		return err == nil
	}, "the journal to listen")
	return run
}

// The journal itself has each attribute as a field, so that journalctl finds by it.
func TestTheJournalOfSystemd(t *testing.T) {
	run := startJournal(t)
	s := journald.NewSender(filepath.Join(run, "systemd/journal/socket"))
	defer s.Close()
	ctx := context.Background()
	if err := s.Probe(ctx); err != nil {
		t.Fatal(err)
	}
	for seq, stack := range []string{"short", strings.Repeat("frame\n", 60_000)} { // the second goes in a file in memory
		entry := journald.Encoder("penstock")(nil, flat.Line{
			Time: time.Now(), Level: slog.LevelWarn, Message: "the verdict changed\nto physical",
			Fields: []flat.Field{{Key: "controller", Value: "Pumpe Süd"}, {Key: "seq", Value: fmt.Sprint(seq)}, {Key: "stack", Value: stack}},
		})
		if err := s.Send(ctx, entry); err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		testkit.Eventually(t, func() bool {
			out, err := exec.Command("journalctl", "--directory", filepath.Join(run, "log/journal"), "--no-pager", "--all", "-o", "json",
				"PENSTOCK_CONTROLLER=Pumpe Süd", fmt.Sprint("PENSTOCK_SEQ=", seq)).Output()
			return err == nil && json.Unmarshal(out, &got) == nil
		}, "journalctl to find the entry by its fields")
		for name, want := range map[string]string{
			"MESSAGE": "the verdict changed\nto physical", "PRIORITY": "4", "SYSLOG_IDENTIFIER": "penstock", "_PID": fmt.Sprint(os.Getpid()), "PENSTOCK_STACK": stack,
		} {
			if got[name] != want {
				t.Errorf("%s is %.60q", name, got[name])
			}
		}
	}
}
