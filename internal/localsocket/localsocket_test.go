package localsocket_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/heap"
	"github.com/penstock/penstock/internal/localsocket"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestOnlyForThisAccount(t *testing.T) {
	data := filepath.Join(t.TempDir(), strings.Repeat("long", 30)) // longer than a socket's path may be
	if err := os.MkdirAll(filepath.Join(data, "run"), 0o750); err != nil {
		t.Fatal(err)
	}
	var nothing bytes.Buffer
	if err := localsocket.Get(t.Context(), data, "/heap", &nothing); penstock.CodeOf(err) != penstock.Unavailable {
		t.Errorf("without a gateway: %v", err)
	}
	s := localsocket.New(localsocket.Options{
		Dir: filepath.Join(data, "run"), Version: "1", Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Bundle: func(w io.Writer) error { _, err := io.WriteString(w, "bundle"); return err },
	})
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	socket := filepath.Join(data, "run", localsocket.Name)
	testkit.Eventually(t, func() bool {
		info, err := os.Stat(socket)
		return err == nil && info.Mode().Perm() == 0o600
	}, "the socket with mode 0600")
	for path, want := range map[string]string{
		"/support-bundle": "bundle", "/debug/pprof/goroutine?debug=2": "localsocket.(*Server).Run", "/debug/pprof/heap": "\x1f\x8b",
		"/debug/pprof/profile?seconds=1": "\x1f\x8b",
	} {
		var got bytes.Buffer
		if err := localsocket.Get(t.Context(), data, path, &got); err != nil || !strings.Contains(got.String(), want) {
			t.Errorf("%s: %v, %.40q", path, err, got.String())
		}
	}
	var got bytes.Buffer
	var taken heap.Snapshot
	large := make([]byte, 64*runtime.MemProfileRate) // of less, a snapshot may have seen nothing
	if err := localsocket.Get(t.Context(), data, "/heap", &got); err != nil || json.Unmarshal(got.Bytes(), &taken) != nil || taken.Version != "1" {
		t.Errorf("%v: %.200s", err, got.String())
	}
	runtime.KeepAlive(large)
	if len(taken.Sites) == 0 || !strings.HasSuffix(taken.Sites[0].Stack[0], "TestOnlyForThisAccount") || taken.Sites[0].Bytes < int64(len(large)) {
		t.Errorf("%d bytes are in use here: %.200s", len(large), got.String())
	}
	if err := localsocket.Get(t.Context(), data, "/debug/pprof/secrets", &got); err == nil {
		t.Error("a profile that is not there")
	}
	stop()
	work.Wait()
	if _, err := os.Stat(socket); err == nil {
		t.Error("the socket is left")
	}
}
