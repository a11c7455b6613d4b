package app

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/health"
	"github.com/penstock/penstock/internal/notify"
	"github.com/penstock/penstock/internal/spool"
)

// The watchdog is fed while the spool can acknowledge, or refuses in good order.
func TestPulse(t *testing.T) {
	var p pulse
	for i, test := range []struct {
		state spool.State
		beats bool
	}{
		{spool.State{}, true},
		{spool.State{Durable: 5, Pending: 100}, true},  // it writes
		{spool.State{Durable: 5, Pending: 100}, false}, // it hangs
		{spool.State{Durable: 9, Pending: 100}, true},
		{spool.State{Durable: 9}, true}, // nobody sends
		{spool.State{Durable: 9, Health: spool.Refusing, Pending: 1}, true},
		{spool.State{Durable: 9, Health: spool.Failed}, false},
		{spool.State{Durable: 9, Health: spool.Shut}, false},
	} {
		if got := p.beats(test.state); got != test.beats {
			t.Errorf("%d: %+v: %v", i, test.state, got)
		}
	}
}

func TestStateInWords(t *testing.T) {
	h := health.New(health.Options{})
	spool, record := h.Needed("spool"), h.Watched("record")
	spool.OK()
	record.Failing("the database is down")
	if got := stateText(h.Snapshot()); got != "accepts reports; record: the database is down" {
		t.Errorf("got %q", got)
	}
	spool.Failing("no room")
	if got := stateText(h.Snapshot()); got != "refuses reports: spool: no room" {
		t.Errorf("got %q", got)
	}
	spool.OK()
	record.OK()
	if got := stateText(h.Snapshot()); got != "answers" {
		t.Errorf("got %q", got)
	}
	h.Drain()
	if got := stateText(h.Snapshot()); got != "answers what is under way" {
		t.Errorf("got %q", got)
	}
}

// A successor says that it waits, and goes on as soon as its predecessor has
// ended; without being told to take over it refuses at once.
func TestTakingOver(t *testing.T) {
	path := t.TempDir()
	first, err := openDirectory(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := awaitDirectory(t.Context(), path, 0, t.FailNow); penstock.CodeOf(err) != penstock.Conflict {
		t.Errorf("two have the directory: %v", err)
	}
	if _, err := awaitDirectory(t.Context(), path, 30*time.Millisecond, func() {}); penstock.CodeOf(err) != penstock.Conflict || !strings.Contains(err.Error(), "waited for 30ms") {
		t.Errorf("it waits for ever: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := awaitDirectory(ctx, path, time.Minute, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("it does not stop: %v", err)
	}
	receiver, err := notify.Listen(filepath.Join(t.TempDir(), "n"))
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	t.Setenv("NOTIFY_SOCKET", receiver.Path())
	sender, err := notify.FromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	h := herald{sender, slog.New(slog.DiscardHandler)}
	second, err := awaitDirectory(t.Context(), path, time.Minute, func() {
		h.awaitPredecessor()
		if m, err := receiver.Receive(); err != nil || !m.TakeOver {
			t.Errorf("the manager heard %+v, %v", m, err)
		}
		first.close()
	})
	if err != nil {
		t.Fatal(err)
	}
	second.close()
	h.whileStarting(func() {
		if m, err := receiver.Receive(); err != nil || m.Extend != extendBy {
			t.Errorf("the manager heard %+v, %v", m, err)
		}
	})
}
