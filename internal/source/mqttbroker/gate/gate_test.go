package gate_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/source/mqttbroker/gate"
)

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate.New(2, 2*time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		var evicted []string
		enter := func(name string) *gate.Place {
			if err := g.Wait(ctx); err != nil {
				t.Fatal(err)
			}
			return g.Enter(func() { evicted = append(evicted, name) })
		}
		begun := time.Now()
		enter("first")
		time.Sleep(time.Second)
		second := enter("second")
		if time.Since(begun) != time.Second {
			t.Fatal("there was room, and somebody waited")
		}
		enter("third") // when the first had its time
		if since := time.Since(begun); since != 2*time.Second || len(evicted) != 1 || evicted[0] != "first" {
			t.Fatalf("after %v %q had to leave", since, evicted)
		}
		time.AfterFunc(500*time.Millisecond, second.Leave)
		enter("fourth")
		if since := time.Since(begun); since != 2500*time.Millisecond || len(evicted) != 1 {
			t.Fatalf("after %v %q had to leave", since, evicted)
		}
		second.Leave()
		time.AfterFunc(time.Millisecond, cancel)
		if err := g.Wait(ctx); err == nil {
			t.Fatal("there was no room")
		}
	})
}
