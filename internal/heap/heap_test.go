package heap_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/heap"
)

type hoard struct{ kept [][]byte }

//go:noinline
func (h *hoard) leak(n int) {
	for range n {
		h.kept = append(h.kept, make([]byte, 64<<10))
	}
}

func TestWhatGrowsIsNamed(t *testing.T) {
	var h hoard
	before := heap.Take("1", time.Now())
	h.leak(320) // 20 MiB
	after := heap.Take("1", time.Now())
	grown := heap.Diff(before, after)
	if len(grown) == 0 {
		t.Fatal("nothing grew")
	}
	name := grown[0].Name("github.com/penstock/penstock")
	if !strings.Contains(name, "heap_test.(*hoard).leak") || grown[0].Grown < 15<<20 || grown[0].Grown > 25<<20 {
		t.Errorf("%s grew by %d bytes", name, grown[0].Grown)
	}
	if after.Bytes-before.Bytes < 15<<20 || after.Sites[0].Bytes < after.Sites[len(after.Sites)-1].Bytes {
		t.Errorf("%d to %d bytes", before.Bytes, after.Bytes)
	}
	runtime.KeepAlive(h)
}
