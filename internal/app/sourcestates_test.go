package app

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/app/datadir"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/health"
	"github.com/penstock/penstock/internal/source/syslog"
)

// starting returns a gateway of which nothing runs but health and the addresses.
func starting(t *testing.T, told chan<- Started) *gateway {
	dir, err := datadir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dir.Close)
	g := &gateway{node: &node{health: health.New(health.Options{})}, bound: datadir.NewBound(dir, slog.New(slog.DiscardHandler))}
	g.Started = func(s Started) { told <- s }
	return g
}

func TestTheStartTellsWhereTheSourcesListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan Started, 1)
		g := starting(t, told)
		begins, fails := g.health.Watched("source meters"), g.health.Watched("source pump")
		g.health.Needed("spool")
		go g.tell(t.Context(), Started{Addresses: []datadir.Address{{Key: "listen.https", Address: "[::]:8080"}}})
		g.bound.Add("listen.https", "[::]:8080")
		time.Sleep(100 * time.Millisecond) // of the bubble's clock
		if synctest.Wait(); len(told) > 0 {
			t.Fatal("it tells before the sources have begun")
		}
		g.bound.Add("sources.meters.udp", "127.0.0.1:514")
		g.bound.Add("listen.link", "127.0.0.1:5427")
		begins.OK()
		fails.Failing("no such device")
		want := []datadir.Address{{Key: "listen.https", Address: "[::]:8080"}, {Key: "listen.link", Address: "127.0.0.1:5427"}, {Key: "sources.meters.udp", Address: "127.0.0.1:514"}}
		if s := <-told; !slices.Equal(s.Addresses, want) {
			t.Errorf("told are %v", s.Addresses)
		}
		states := g.sourceStates()
		if len(states) != 2 || states[0].State != "running" || !slices.Equal(states[0].Addresses, []string{"127.0.0.1:514"}) ||
			states[1].State != "failing" || states[1].Why != "no such device" || states[1].Since.IsZero() {
			t.Errorf("the states are %+v", states)
		}
	})
}

// A source that nobody has started yet is waited for as well.
func TestTheStartWaitsForSourcesWithoutAState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan Started, 1)
		g := starting(t, told)
		g.Config.Sources = []settings.Source{{Name: "meters", Syslog: &syslog.Config{UDP: "127.0.0.1:0"}}}
		go g.tell(t.Context(), Started{})
		time.Sleep(100 * time.Millisecond) // of the bubble's clock
		if synctest.Wait(); len(told) > 0 {
			t.Fatal("it tells before the source has begun")
		}
		g.bound.Add("sources.meters.udp", "127.0.0.1:514")
		g.health.Watched("source meters").OK()
		if s := <-told; len(s.Addresses) != 1 {
			t.Errorf("told are %v", s.Addresses)
		}
	})
}

func TestTheStartWaitsForNoSourceLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan Started, 1)
		g := starting(t, told)
		g.health.Watched("source far away")
		began := time.Now()
		go g.tell(t.Context(), Started{})
		if <-told; time.Since(began) > 2*time.Second {
			t.Errorf("it waited %v", time.Since(began))
		}
		stopped, stop := context.WithCancel(t.Context())
		stop()
		if g.tell(stopped, Started{}); len(told) > 0 {
			t.Error("a gateway that stops tells that it has started")
		}
	})
}
