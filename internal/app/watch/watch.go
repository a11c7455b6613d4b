// Package watch is the gateway watching itself: what the API, health and metrics show
// of its log and of the flow of its reports, and the files that a stall leaves.
package watch

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/flow"
	"github.com/penstock/penstock/internal/flow/stall"
	"github.com/penstock/penstock/internal/health"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/internal/memory"
	"github.com/penstock/penstock/internal/metrics"
	"github.com/penstock/penstock/internal/spool"
)

// Parts are the parts of a gateway that are watched. All must be given.
type Parts struct {
	Flow    *flow.Book
	Spool   *spool.Spool
	Intake  *intake.Intake
	Through func() penstock.Position // through which the record has settled
	Health  *health.Health
	Metrics *metrics.Set
	Logs    *logging.Logs
	Memory  *memory.Guard
	Dir     string // data directory
	Version string
	Config  func() ([]byte, error) // as YAML, secrets redacted
	Now     func() time.Time
}

// Watcher watches a gateway.
type Watcher struct {
	Parts
	*stall.Detector
	log         *slog.Logger
	connections func() int
}

// New returns a watcher that has health and metrics tell what it sees. Its Run looks
// for stages that stand still.
func New(p Parts) *Watcher {
	w := &Watcher{Parts: p, log: p.Logs.Logger().With(logging.Component, "flow"), connections: func() int { return 0 }}
	w.Detector = NewDetector(p.Flow, p.Health, stall.Options{Log: w.log, Now: p.Now, Keep: w.keepStacks})
	w.watchLog()
	w.measure()
	w.measureMemory()
	return w
}

// Connections has the watcher tell how many connections are open.
func (w *Watcher) Connections(count func() int) { w.connections = count }

// NewDetector returns what finds stages that stand still. A stage that a sender
// waits for makes the gateway not ready: whoever sends now would wait as well.
func NewDetector(book *flow.Book, h *health.Health, o stall.Options) *stall.Detector {
	o.Book = book
	o.Status = map[flow.Part]stall.Status{
		flow.Acknowledgement: h.Needed("acknowledgement"),
		flow.Delivery:        h.Watched("delivery"),
		flow.Aside:           h.Watched("upkeep"),
	}
	return stall.New(o)
}

// keptStacks is how many files of stacks are kept.
const keptStacks = 5

// keepStacks writes the stacks of a stall to a file of its own, and deletes the
// oldest of those beyond the number that is kept.
func (w *Watcher) keepStacks(stage string, stacks []byte) (string, error) {
	dir := filepath.Join(w.Dir, "stalls")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	name := w.Now().UTC().Format("20060102T150405.000Z") + "-" + strings.NewReplacer(" ", "-", "/", "-").Replace(stage) + ".txt"
	path := filepath.Join(dir, filepath.Base(name))
	if err := os.WriteFile(path, stacks, 0o640); err != nil {
		return "", err
	}
	files, err := os.ReadDir(dir) // by name, and so by time
	if err != nil {
		return path, nil
	}
	for _, old := range files[:max(0, len(files)-keptStacks)] {
		if err := os.Remove(filepath.Join(dir, old.Name())); err != nil {
			w.log.Warn("old stacks could not be deleted", "error", err)
		}
	}
	return path, nil
}
