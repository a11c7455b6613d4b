package memory_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/memory"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// run runs a guard over what used says until the function returned is called.
func run(used *atomic.Uint64, changed func(memory.Level)) (g *memory.Guard, stop func()) {
	g = memory.New(memory.Options{Limit: 1000, Log: slog.New(slog.DiscardHandler), Used: used.Load, Changed: changed})
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { g.Run(ctx) })
	return g, func() { cancel(); work.Wait() }
}

func TestWhatIsShedAndWhenItComesBack(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "off") // the limit of this test is none for the process
	synctest.Test(t, func(t *testing.T) {
		var used atomic.Uint64
		var mu sync.Mutex
		var told []memory.Level
		g, stop := run(&used, func(l memory.Level) { mu.Lock(); defer mu.Unlock(); told = append(told, l) })
		for _, step := range []struct {
			used uint64
			want memory.Level
		}{
			{740, memory.Plenty}, {750, memory.NoCaches}, {720, memory.NoCaches}, {709, memory.Plenty}, {820, memory.NoWatchers},
			{880, memory.NoNewcomers}, {950, memory.NoReports}, {905, memory.NoReports}, {899, memory.NoNewcomers}, {100, memory.Plenty}, {5000, memory.NoReports},
		} {
			used.Store(step.used)
			time.Sleep(time.Second)
			synctest.Wait()
			if g.Level() != step.want {
				t.Errorf("%d used: %v, want %v", step.used, g.Level(), step.want)
			}
		}
		time.Sleep(25 * time.Second)
		stop()
		want := []memory.Level{1, 0, 2, 3, 4, 3, 0, 4, 4, 4}
		if !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}

type taken struct{ n int }

func (h *taken) Submit(context.Context, []penstock.Envelope) penstock.Ticket { h.n++; return nil }

func TestReportsAndNewcomers(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "off")
	var used atomic.Uint64
	g, stop := run(&used, nil)
	defer stop()
	h := &taken{}
	next := g.Handler(h)
	next.Submit(t.Context(), make([]penstock.Envelope, 2))
	if h.n != 1 {
		t.Error("with plenty, nothing was taken")
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := g.Listener(inner)
	used.Store(990)
	testkit.Eventually(t, func() bool { return g.Level() == memory.NoReports }, "the highest level")
	outcomes, err := next.Submit(t.Context(), make([]penstock.Envelope, 2)).Wait(t.Context())
	if err != nil || h.n != 1 || len(outcomes) != 2 || penstock.CodeOf(outcomes[1].Err) != penstock.Unavailable || penstock.RetryAfterOf(outcomes[1].Err) == 0 {
		t.Errorf("%v, %+v", err, outcomes)
	}
	var work sync.WaitGroup
	work.Go(func() {
		if c, err := ln.Accept(); err == nil {
			c.Close()
			t.Error("a newcomer was let in")
		}
	})
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a newcomer was spoken to")
	}
	c.Close()
	ln.Close()
	work.Wait()
}

func TestWhatTheControlGroupAllows(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  uint64
	}{
		"none":            {nil, 0},
		"second version":  {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "536870912\n"}, 512 << 20},
		"a container":     {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000\n"}, 1000},
		"first version":   {map[string]string{"proc/self/cgroup": "5:cpu:/x\n4:memory:/x\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "2000\n"}, 2000},
		"without a limit": {map[string]string{"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		"nonsense":        {map[string]string{"proc/self/cgroup": "x\n0::/y\n", "sys/fs/cgroup/y/memory.max": "-5\n"}, 0},
	} {
		root := t.TempDir()
		for file, text := range test.files {
			path := filepath.Join(root, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := memory.Allowed(root); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
	if memory.Used() == 0 {
		t.Error("nothing is used")
	}
}
