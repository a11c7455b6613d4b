// Package heap takes snapshots of what is on the heap, by the place in the program
// that allocated it, and says what grew between two of them.
package heap

import (
	"cmp"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"
)

// The bounds of a snapshot.
const (
	maxSites  = 1000
	maxFrames = 32
)

// Snapshot is what was in use at one moment, estimated from the allocations that the
// runtime sampled.
type Snapshot struct {
	Time    time.Time `json:"time"`
	Version string    `json:"version"` // of the gateway
	Bytes   int64     `json:"bytes"`   // of all sites
	Objects int64     `json:"objects"`
	Sites   []Site    `json:"sites"` // the largest first
}

// Site is a place that allocated what is in use.
type Site struct {
	Stack   []string `json:"stack"` // functions, the innermost first
	Bytes   int64    `json:"bytes"`
	Objects int64    `json:"objects"`
}

// Take collects garbage and returns what is in use.
func Take(version string, now time.Time) Snapshot {
	runtime.GC()
	records := make([]runtime.MemProfileRecord, 1<<10)
	for {
		n, ok := runtime.MemProfile(records, false)
		if ok {
			records = records[:n]
			break
		}
		records = make([]runtime.MemProfileRecord, n+n/4)
	}
	s := Snapshot{Time: now.UTC(), Version: version}
	sites := map[string]*Site{}
	for i := range records {
		r := &records[i]
		objects, bytes := scale(r.InUseObjects(), r.InUseBytes(), runtime.MemProfileRate)
		stack := functions(r.Stack())
		key := strings.Join(stack, "\n")
		if sites[key] == nil {
			sites[key] = &Site{Stack: stack}
		}
		sites[key].Bytes += bytes
		sites[key].Objects += objects
		s.Bytes += bytes
		s.Objects += objects
	}
	for _, site := range sites {
		s.Sites = append(s.Sites, *site)
	}
	slices.SortFunc(s.Sites, func(a, b Site) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), slices.Compare(a.Stack, b.Stack))
	})
	s.Sites = s.Sites[:min(len(s.Sites), maxSites)]
	return s
}

// scale returns what a number of sampled objects stands for: an object is sampled
// with a probability that grows with its size.
func scale(objects, bytes int64, rate int) (int64, int64) {
	if objects == 0 || bytes == 0 {
		return 0, 0
	}
	if rate <= 1 {
		return objects, bytes
	}
	mean := float64(bytes) / float64(objects)
	factor := 1 / (1 - math.Exp(-mean/float64(rate)))
	return int64(float64(objects) * factor), int64(float64(bytes) * factor)
}

// functions returns the functions of a stack, the innermost first, without those of
// the allocator.
func functions(stack []uintptr) []string {
	frames := runtime.CallersFrames(stack)
	var names []string
	for len(names) < maxFrames {
		f, more := frames.Next()
		if f.Function != "" && (len(names) > 0 || !strings.HasPrefix(f.Function, "runtime.")) {
			names = append(names, f.Function)
		}
		if !more {
			break
		}
	}
	return names
}

// Growth is how much more one site has in the second of two snapshots.
type Growth struct {
	Site          // as it is in the second
	Grown   int64 `json:"grown_bytes"`
	Created int64 `json:"grown_objects"`
}

// Diff returns what grew between two snapshots, the most first.
func Diff(before, after Snapshot) []Growth {
	had := map[string]Site{}
	for _, s := range before.Sites {
		had[strings.Join(s.Stack, "\n")] = s
	}
	var grown []Growth
	for _, s := range after.Sites {
		earlier := had[strings.Join(s.Stack, "\n")]
		if s.Bytes > earlier.Bytes {
			grown = append(grown, Growth{s, s.Bytes - earlier.Bytes, s.Objects - earlier.Objects})
		}
	}
	slices.SortStableFunc(grown, func(a, b Growth) int { return cmp.Compare(b.Grown, a.Grown) })
	return grown
}

// Name returns the innermost function of the site that belongs to a module, which
// is whom to ask, and what it called.
func (s Site) Name(module string) string {
	for i, f := range s.Stack {
		if strings.HasPrefix(f, module) {
			if i > 0 {
				return short(f) + " > " + short(s.Stack[i-1])
			}
			return short(f)
		}
	}
	if len(s.Stack) == 0 {
		return "unknown"
	}
	return short(s.Stack[0])
}

func short(function string) string { return function[strings.LastIndex(function, "/")+1:] }
