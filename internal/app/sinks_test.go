package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/views"
	"github.com/penstock/penstock/internal/delivery"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/sinktest"
)

// settled are the settings of a kind of sink in a test.
type settled struct{ Wrong bool }

func (s *settled) Validate() error {
	if s.Wrong {
		return errors.New("wrong")
	}
	return nil
}

func TestWhatIsWrongWithSinks(t *testing.T) {
	list := []Sink{{Name: ""}, {Name: "a/b"}, {Name: strings.Repeat("x", sink.MaxName+1)}, {Name: "historian"}, {Name: "twice"}, {Name: "twice"}}
	var said []string
	for _, err := range checkSinks(list) {
		said = append(said, err.Error())
	}
	for _, want := range []string{
		"sinks[0].name: a sink needs a name", "sinks[1].name: a sink needs a name", "sinks[2].name: a sink needs a name of 1 to 64 bytes",
		`sinks[3].name: "historian" is the embedded historian`, `sinks[5].name: "twice" is taken`, "sinks[4]: twice has the settings of 0 kinds",
	} {
		if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("nobody says %q:\n%s", want, strings.Join(said, "\n"))
		}
	}
}

func TestKindsOfSinks(t *testing.T) {
	store := sinktest.NewStore()
	none := sinkKindOf("none", (*settled)(nil), func(settled, sink.Env) (penstock.Sink, error) { return nil, nil })
	plain := sinkKindOf("plain", &settled{}, func(settled, sink.Env) (penstock.Sink, error) { return sinktest.NewDestination().Open(), nil })
	record := recordKindOf("record", &settled{}, func(_ settled, env sink.Env) (*sinktest.Record, error) { return store.Open(env.Node), nil })
	absent := recordKindOf("absent", (*settled)(nil), func(settled, sink.Env) (*sinktest.Record, error) { return nil, nil })
	if none.config != nil || absent.config != nil || plain.sink == nil || plain.record != nil || record.record == nil || record.sink != nil {
		t.Errorf("%+v, %+v, %+v, %+v", none, absent, plain, record)
	}
}

// elsewhere opens a node whose system of record stands elsewhere.
func elsewhere(t *testing.T, store *sinktest.Store) *node {
	t.Helper()
	n, err := openNode(nodeOptions{config: DefaultConfig(), fs: vfs.NewMem(), dir: "data", log: slog.New(slog.DiscardHandler), now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	n.record = sink.Spec{Name: "elsewhere", NewRecord: func(env sink.Env) (penstock.Record, error) { return store.Open(env.Node), nil }}
	return n
}

func TestAReloadKeepsTheSystemOfRecord(t *testing.T) {
	n := elsewhere(t, sinktest.NewStore())
	defer func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	}()
	c := DefaultConfig()
	if err := n.reloadSinks(&c); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := n.sinks.Run(ctx); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range n.sinks.Sinks() {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"elsewhere", views.HistorianName}) {
		t.Errorf("after a reload that does not name it the sinks are %q", names)
	}
}

func TestTheSpoolIsKeptForAWhile(t *testing.T) {
	k, at := delivery.NewKeeper(time.Hour), time.Unix(0, 0)
	for minute := range 59 {
		if floor := k.Floor(at.Add(time.Duration(minute)*time.Minute), penstock.Position(10*minute)); floor != 0 {
			t.Fatalf("after %d minutes the spool may go up to %d", minute, floor)
		}
	}
	if floor := k.Floor(at.Add(70*time.Minute), 5000); floor != 100 {
		t.Errorf("after 70 minutes the spool may go up to %d, not to where it was after 10", floor)
	}
	if floor := delivery.NewKeeper(0).Floor(at, 7); floor < 1<<40 {
		t.Errorf("without a time to keep the spool may go up to %d only", floor)
	}
}
