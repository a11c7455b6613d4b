package fanout

import (
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/source/mqttbroker/filter"
)

// retained are the last messages of their topics that were to be kept.
type retained struct {
	count int
	limit int64

	mu    sync.RWMutex // guards everything below
	all   map[string]*Message
	bytes int64
}

func newRetained(l Limits) retained {
	return retained{count: l.Retained, limit: l.RetainedBytes, all: map[string]*Message{}}
}

// put keeps a message in the place of the one before, or forgets that one when
// the new one is empty. It returns false when there is no room.
func (r *retained) put(m *Message) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.all[m.Topic]
	if old != nil {
		r.bytes -= old.size()
		delete(r.all, m.Topic)
	}
	if len(m.Payload) == 0 {
		return true
	}
	if len(r.all) >= r.count || r.bytes+m.size() > r.limit {
		return false
	}
	r.all[m.Topic] = m
	r.bytes += m.size()
	return true
}

// remove forgets a message, unless there is a newer one.
func (r *retained) remove(m *Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all[m.Topic] == m {
		r.bytes -= m.size()
		delete(r.all, m.Topic)
	}
}

// match returns the messages whose topics the pattern matches and whose time is
// not over.
func (r *retained) match(pattern string, now time.Time) (list []*Message) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !strings.ContainsAny(pattern, "+#") {
		if m := r.all[pattern]; m != nil {
			if _, over := m.left(now); !over {
				list = append(list, m)
			}
		}
		return list
	}
	for name, m := range r.all {
		if _, over := m.left(now); !over && filter.Match(pattern, name) {
			list = append(list, m)
		}
	}
	return list
}
