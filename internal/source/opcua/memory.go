package opcua

import (
	"encoding/json"
	"time"

	"github.com/penstock/penstock/internal/source"
)

// memory is what outlives a lost connection: the subscriptions that the server
// holds for us, by group. What of it is needed to go on outlives the process too.
type memory struct {
	standing []standing
	retain   func([]byte) // nil where it cannot
}

// retained is what of a subscription outlives the process.
type retained struct {
	ID, Next  uint32
	Keepalive time.Duration
	Asked     uint32 // message that was being asked for again, 0 for none
	Owed      []uint32
}

// newMemory returns the memory of a source with that many groups: what the process
// before this one retained, or else nothing.
func newMemory(env source.Env, groups int) *memory {
	m := &memory{standing: make([]standing, groups), retain: env.Retain}
	var list []retained
	if json.Unmarshal(env.Recall, &list) != nil || len(list) != groups {
		return m
	}
	for i, r := range list {
		s := &m.standing[i]
		s.id, s.next, s.keepalive, s.owed = r.ID, r.Next, r.Keepalive, r.Owed
		s.asked, s.deadly = r.Asked, r.Asked
	}
	return m
}

// keep retains how it is now. Only the feed's goroutine calls it, before it asks the
// server for something that may end the process.
func (m *memory) keep() {
	if m.retain == nil {
		return
	}
	list := make([]retained, len(m.standing))
	for i := range m.standing {
		s := &m.standing[i]
		list[i] = retained{s.id, s.next, s.keepalive, s.asked, s.owes()}
	}
	text, err := json.Marshal(list)
	if err == nil { // numbers and lists of them
		m.retain(text)
	}
}
