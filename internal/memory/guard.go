// Package memory keeps a process below a limit of memory: it finds the limit, tells
// the garbage collector, and does without more and more as the use comes near it, in
// an order that is known beforehand.
package memory

import (
	"context"
	"log/slog"
	"os"
	"path"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/config"
)

// Config says how much memory the gateway may use.
type Config struct {
	Limit config.Size `yaml:"limit,omitempty" jsonschema_description:"bytes below which the gateway keeps; when left out, what the control group allows, or else none. From 75 % on it does without caches, from 82 % without live streams, from 88 % without new connections, and from 94 % it refuses new reports with a time to try again"`
}

// Level is what the process does without.
type Level int32

// The levels: each does without what those before it do, and more.
const (
	Plenty      Level = iota // nothing
	NoCaches                 // caches are emptied
	NoWatchers               // live streams end
	NoNewcomers              // new connections are closed at once
	NoReports                // new reports are refused
)

// String returns the level's name; empty for [Plenty].
func (l Level) String() string {
	return [...]string{"", "caches", "live streams", "new connections", "new reports"}[l]
}

// thresholds are from which share of the limit on a level holds, in percent. It ends
// a few percent lower, so that it does not come and go.
var thresholds = [...]uint64{NoCaches: 75, NoWatchers: 82, NoNewcomers: 88, NoReports: 94}

const slack = 4

// softShare is the share of the limit at which the collector begins to work harder,
// in percent.
const softShare = 85

// Options are what a [Guard] works with. Limit 0 is none.
type Options struct {
	Limit uint64
	Every time.Duration // between two looks; 250 ms when 0
	Log   *slog.Logger
	Used  func() uint64 // nil for what the runtime says
	// Changed is told each change of the level, and at levels above Plenty again every
	// ten seconds, to empty caches that have filled again.
	Changed func(Level)
}

// Guard looks at how much is used again and again.
type Guard struct {
	opt   Options
	level atomic.Int32
}

// New returns a guard that looks when it runs.
func New(o Options) *Guard {
	if o.Every == 0 {
		o.Every = 250 * time.Millisecond
	}
	if o.Used == nil {
		o.Used = Used
	}
	if o.Changed == nil {
		o.Changed = func(Level) {}
	}
	return &Guard{opt: o}
}

// Level returns what the process does without.
func (g *Guard) Level() Level { return Level(g.level.Load()) }

// Limit returns the limit, 0 for none.
func (g *Guard) Limit() uint64 { return g.opt.Limit }

// repeat is after how long a level is told again.
const repeat = 10 * time.Second

// Run looks until ctx ends. It sets the collector's soft limit unless GOMEMLIMIT
// does.
func (g *Guard) Run(ctx context.Context) {
	if g.opt.Limit == 0 {
		return
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		before := debug.SetMemoryLimit(int64(g.opt.Limit / 100 * softShare))
		defer func() { debug.SetMemoryLimit(before) }()
	}
	tick := time.NewTicker(g.opt.Every)
	defer tick.Stop()
	told := 0
	for {
		used, before := g.opt.Used(), g.Level()
		level := g.judge(used, before)
		told++
		if level != before || level > Plenty && time.Duration(told)*g.opt.Every >= repeat {
			told = 0
			g.level.Store(int32(level))
			g.opt.Changed(level)
		}
		if level != before {
			g.opt.Log.Warn("memory", "used", used, "limit", g.opt.Limit, "does_without", level.String(), "did_without", before.String())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// judge returns the level for a use, when that before was another.
func (g *Guard) judge(used uint64, before Level) Level {
	percent := used / max(g.opt.Limit/100, 1)
	level := Plenty
	for l := NoCaches; l <= NoReports; l++ {
		threshold := thresholds[l]
		if before >= l {
			threshold -= slack
		}
		if percent >= threshold {
			level = l
		}
	}
	return level
}

// Used returns the bytes of memory that the process has of the system, as the
// runtime counts them: the heap with what is not given back, stacks and the rest.
func Used() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}

// Allowed returns what the control group of the process allows it, and 0 where it
// sets no limit. Root is "/" but for tests.
func Allowed(root string) uint64 {
	text, err := os.ReadFile(path.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0
	}
	least := uint64(0)
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		base, file := "", ""
		switch {
		case fields[1] == "":
			base, file = "sys/fs/cgroup", "memory.max"
		case strings.Contains(","+fields[1]+",", ",memory,"):
			base, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		// Every group above it counts as well; inside a container the path may be that
		// of the host, and only the top is there.
		for at := fields[2]; ; at = path.Dir(at) {
			if limit := readLimit(path.Join(root, base, at, file)); limit > 0 && (least == 0 || limit < least) {
				least = limit
			}
			if at == "/" || at == "." {
				break
			}
		}
	}
	return least
}

// unlimited is what the first version of control groups shows for no limit, about.
const unlimited = 1 << 60

func readLimit(file string) uint64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	limit, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || limit >= unlimited {
		return 0 // "max"
	}
	return limit
}
