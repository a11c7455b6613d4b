package herald

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/penstock/penstock/internal/health"
	"github.com/penstock/penstock/internal/notify"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

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

// The manager hears of the wait for a predecessor, and is asked for time while a start
// reads its data.
func TestTheManagerIsAskedForPatience(t *testing.T) {
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
	h := New(sender, slog.New(slog.DiscardHandler))
	h.AwaitPredecessor()
	if m, err := receiver.Receive(); err != nil || !m.TakeOver {
		t.Errorf("the manager heard %+v, %v", m, err)
	}
	h.WhileStarting(func() {
		if m, err := receiver.Receive(); err != nil || m.Extend != extendBy {
			t.Errorf("the manager heard %+v, %v", m, err)
		}
	})
}
