package delivery

import (
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/shelf"
)

// State is what a sink does now.
type State string

// The states.
const (
	Starting   State = "starting"   // has not delivered yet
	Delivering State = "delivering" // delivers, or waits for reports
	Retrying   State = "retrying"   // failed a moment ago, and is tried again
	Down       State = "down"       // failed again and again: it is tried from time to time, with little
	Paused     State = "paused"     // by a person
)

// Status is how a sink stands.
type Status struct {
	Name     string
	Main     bool // it is the system of record
	Record   bool // it keeps its place itself, and each report once
	State    State
	Why      string    // of the last failure, while it goes on
	Since    time.Time // when the state began
	Failures int       // in a row
	Next     time.Time // when it is tried again; zero unless it failed
	Alarm    string    // what was lost, until the sink has caught up
	Through  penstock.Position
	Gaps     int // stretches of the backlog behind which newer reports were delivered
	Backlog  Backlog
	Books    shelf.Books

	unsaved  uint64            // delivered, and not in the shelf's books yet
	oldest   int64             // when the first report that waits was accepted, 0 for none
	oldestAt penstock.Position // where that was looked up
}

// Backlog is what waits for a sink.
type Backlog struct {
	Reports uint64        // entries of the spool: reports, and now and then a decision
	Bytes   int64         // of the spool, about
	Age     time.Duration // of the oldest
}

// become notes a state. The lock of its lane is held.
func (s *Status) become(state State, why string, now time.Time) {
	if s.State != state {
		s.State, s.Since = state, now
	}
	s.Why = why
}

// Sinks returns how the sinks stand, sorted by name, the system of record first.
func (s *Set) Sinks() []Status {
	lanes := s.lanes()
	all := make([]Status, 0, len(lanes))
	for _, l := range lanes {
		all = append(all, l.report())
	}
	return all
}

func (l *lane) report() Status {
	durable := l.set.Log.Durable()
	books := l.shelf.Place().Books
	l.mu.Lock()
	st := l.status
	st.Name, st.Main, st.Record = l.spec.Name, l.main, l.spec.NewRecord != nil
	st.Books = books
	st.Books.Delivered += st.unsaved
	st.Through = penstock.Position(l.done.Through(1))
	st.Gaps = max(0, l.done.Spans()-1)
	if l.held {
		st.State = Paused
	}
	waiting := l.done.Clone()
	oldest := l.status.oldest
	l.mu.Unlock()
	if highest := penstock.Position(waiting.Highest()); highest < durable {
		st.Backlog.Reports = uint64(durable - highest)
	}
	if missing := waiting.Highest() - waiting.Count(); missing > 0 {
		st.Backlog.Reports += missing
	}
	if st.Backlog.Reports == 0 {
		return st
	}
	share := float64(st.Backlog.Reports) / float64(max(1, durable-st.Through))
	st.Backlog.Bytes = int64(share * float64(l.set.Log.BytesFrom(st.Through+1)))
	if oldest > 0 {
		st.Backlog.Age = max(0, l.env.Now().Sub(time.Unix(0, oldest)))
	}
	return st
}
