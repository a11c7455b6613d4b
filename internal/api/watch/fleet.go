package watch

import (
	"sync"
	"time"

	"github.com/penstock/penstock/internal/api/web"
	"github.com/penstock/penstock/internal/diagnose"
)

// Changes are what changed of a fleet.
type Changes struct {
	All  bool     `json:"all,omitempty"` // these are all, and nothing else is there
	Rows [][6]any `json:"rows,omitempty"`
	Gone []string `json:"gone,omitempty"`
}

// row is how a controller was told to stand. When a controller that reports was
// seen last is not told: it changes all the time, and says nothing.
type row struct {
	site, line string
	pulse      diagnose.Pulse
	cause      diagnose.Cause
	seen       int64 // milliseconds since 1970
}

// fleet remembers what was told.
type fleet struct {
	sent  map[string]row
	begun bool
}

// changes returns what was not told yet of the controllers that the caller sees,
// nil for nothing.
func (f *fleet) changes(list []diagnose.Standing, c *web.Call) *Changes {
	answer := &Changes{All: !f.begun}
	f.begun = true
	seen := 0
	for i := range list {
		s := &list[i]
		if !c.Sees("", s.Name) {
			continue
		}
		seen++
		r := row{site: s.Site, line: s.Line, pulse: s.Pulse, cause: s.Cause}
		if s.Pulse != diagnose.Reporting {
			r.seen = s.LastSeen / int64(time.Millisecond)
		}
		if old, told := f.sent[s.Name]; told && old == r {
			continue
		}
		f.sent[s.Name] = r
		answer.Rows = append(answer.Rows, [6]any{s.Name, r.site, r.line, r.pulse, r.cause, r.seen})
	}
	if seen < len(f.sent) {
		answer.Gone = f.forget(list, c)
	}
	if !answer.All && answer.Rows == nil && answer.Gone == nil {
		return nil
	}
	return answer
}

// forget lets go of what was told of controllers that are no longer there.
func (f *fleet) forget(list []diagnose.Standing, c *web.Call) (gone []string) {
	there := make(map[string]bool, len(list))
	for i := range list {
		if c.Sees("", list[i].Name) {
			there[list[i].Name] = true
		}
	}
	for name := range f.sent {
		if !there[name] {
			delete(f.sent, name)
			gone = append(gone, name)
		}
	}
	return gone
}

// kept is how the fleet stands, read once for all who watch.
type kept struct {
	read  func() []diagnose.Standing
	every time.Duration

	mu   sync.Mutex // guards what follows
	list []diagnose.Standing
	at   time.Time
}

func (k *kept) get() []diagnose.Standing {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := time.Now(); k.at.IsZero() || now.Sub(k.at) >= k.every {
		k.list, k.at = k.read(), now
	}
	return k.list
}
