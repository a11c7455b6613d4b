package datadir_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/datadir"
	"github.com/penstock/penstock/internal/source"
)

func TestAddressesOfSourcesThatEndedAreForgotten(t *testing.T) {
	dir, err := datadir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	b := datadir.NewBound(dir, slog.New(slog.DiscardHandler))
	for _, key := range []string{"listen.https", "listen.mqtt", "listen.link", "sources.a", "sources.b.udp", "sources.c"} {
		b.Add(key, "127.0.0.1:1")
	}
	b.Keep([]source.Spec{{Name: "link"}, {Name: "a"}, {Name: "b"}})
	text, err := os.ReadFile(dir.File("run", "addresses.json"))
	if err != nil {
		t.Fatal(err)
	}
	var left map[string]string
	if err := json.Unmarshal(text, &left); err != nil {
		t.Fatal(err)
	}
	if keys := slices.Sorted(maps.Keys(left)); !slices.Equal(keys, []string{"listen.https", "listen.link", "sources.a", "sources.b.udp"}) {
		t.Errorf("left are %q", keys)
	}
}

func TestTheBrokerHasAKeyOfItsOwn(t *testing.T) {
	for name, want := range map[string]string{"mqtt": "listen.mqtt", "wells": "sources.wells"} {
		if key := datadir.Key(name); key != want {
			t.Errorf("the key of %s is %s", name, key)
		}
	}
}

// A successor waits, and goes on as soon as its predecessor has
// ended; without being told to take over it refuses at once.
func TestTakingOver(t *testing.T) {
	path := t.TempDir()
	first, err := datadir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := datadir.Await(t.Context(), path, 0, t.FailNow); penstock.CodeOf(err) != penstock.Conflict {
		t.Errorf("two have the directory: %v", err)
	}
	if _, err := datadir.Await(t.Context(), path, 30*time.Millisecond, func() {}); penstock.CodeOf(err) != penstock.Conflict || !strings.Contains(err.Error(), "waited for 30ms") {
		t.Errorf("it waits for ever: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := datadir.Await(ctx, path, time.Minute, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("it does not stop: %v", err)
	}
	said := false
	second, err := datadir.Await(t.Context(), path, time.Minute, func() {
		said = true
		first.Close()
	})
	if err != nil || !said {
		t.Fatalf("it says that it waits: %v, error %v", said, err)
	}
	second.Close()
}
