package drain_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstock/penstock/bench/drain"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// TestOutage goes through a short outage of a small fleet, and sees that what is told of
// it can be.
func TestOutage(t *testing.T) {
	dir, err := os.MkdirTemp("", "penstock-drain-")
	if err == nil {
		err = os.Chmod(dir, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	program := filepath.Join(dir, "penstock")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", program, "../../cmd/penstock").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const controllers, each = 20, 24
	o := drain.Options{Gateway: program, Directory: dir, Controllers: controllers, Outage: 10 * time.Minute, Length: time.Second}
	r, err := drain.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	past := int64(controllers * o.Outage / drain.Interval)
	if b := r.Backlog; b.Reports < past || b.Samples != b.Reports*each || b.Bytes == 0 {
		t.Errorf("%+v waited, at least %d reports of %d samples are expected", b, past, each)
	}
	if r.Live != controllers*each/drain.Interval.Seconds() {
		t.Errorf("the fleet sends %v samples a second", r.Live)
	}
	if r.Resumed == 0 || r.Resumed > r.Draining.Length {
		t.Errorf("the first report was in the database %v after it answered, the last %v", r.Resumed, r.Draining.Length)
	}
	for i, p := range []drain.Phase{r.Before, r.Filling, r.Down, r.Draining} {
		// Before, so small a fleet may cost the database less than is counted.
		if p.Length == 0 || p.Memory < 1<<20 || i > 0 && (i == 3) != (p.Database > 0) {
			t.Errorf("phase %d: %+v", i, p)
		}
	}
	if b := r.Books; !b.Exact() || b.Acknowledged < past || b.Rows != b.Acknowledged*each {
		t.Errorf("the books are %+v", b)
	}
	for name, spoil := range map[string]func(*drain.Books){
		"a row too many":        func(b *drain.Books) { b.Rows++ },
		"a report is missing":   func(b *drain.Books) { b.Missing++; b.Whole-- },
		"one is in part":        func(b *drain.Books) { b.Wrong++ },
		"a value is another":    func(b *drain.Books) { b.Changed++ },
		"one is in the spool":   func(b *drain.Books) { b.Unsettled++; b.Committed-- },
		"one was not counted":   func(b *drain.Books) { b.Received-- },
		"one has no sender":     func(b *drain.Books) { b.Accepted++; b.Received++; b.Committed++ },
		"one was never settled": func(b *drain.Books) { b.Committed-- },
	} {
		b := r.Books
		if spoil(&b); b.Exact() {
			t.Errorf("%s, and the books are exact: %+v", name, b)
		}
	}
}
