package commission

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock"
)

// A Table keeps small records durably; see the store's.
type Table interface {
	Put(key, value []byte) error
	Delete(key []byte) error
	Scan(yield func(key, value []byte) error) error
}

// Limits of a bench.
const (
	MaxRunning = 16
	MaxRecords = 1000
	Shortest   = 5 * time.Second
	Longest    = 24 * time.Hour
)

// recordVersion is the first byte of a record in the table.
const recordVersion = 1

// Bench runs commissionings and keeps their records. It is safe for concurrent use.
type Bench struct {
	table   Table
	running atomic.Int32 // so that nobody waits while there is none

	mu       sync.Mutex // guards everything below
	sessions map[string]*session
	records  []Record // the oldest first
}

// Open returns the bench that a table holds. The error's code is Corrupt for a
// record that cannot be read and Unsupported for one of a newer version.
func Open(table Table) (*Bench, error) {
	b := &Bench{table: table, sessions: map[string]*session{}}
	err := table.Scan(func(_, value []byte) error {
		if len(value) < 1 || value[0] != recordVersion {
			return penstock.Errorf(penstock.Unsupported, "commissioning: a record of another version: use the version that wrote it")
		}
		var r Record
		if err := json.Unmarshal(value[1:], &r); err != nil {
			return penstock.Errorf(penstock.Corrupt, "commissioning: a record cannot be read: %w", err)
		}
		b.records = append(b.records, r)
		return nil
	})
	slices.SortFunc(b.records, func(a, b Record) int { return cmp.Or(a.Begun.Compare(b.Begun), cmp.Compare(a.ID, b.ID)) })
	return b, err
}

// Begin starts a commissioning. The error's code is Invalid for a time out of range,
// Conflict when one of the controller runs already, and Busy when too many do.
func (b *Bench) Begin(o Order, now time.Time) (Record, error) {
	if o.For < Shortest || o.For > Longest {
		return Record{}, penstock.Errorf(penstock.Invalid, "a commissioning takes %s to %s, not %s", Shortest, Longest, o.For)
	}
	if o.Every < 0 || o.Every > o.For {
		return Record{}, penstock.Errorf(penstock.Invalid, "each point is to be seen within %s, which is not within the %s that the commissioning takes", o.Every, o.For)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sessions[o.Controller.Name] != nil {
		return Record{}, penstock.Errorf(penstock.Conflict, "a commissioning of %s is under way: wait for its end", o.Controller.Name)
	}
	if len(b.sessions) >= MaxRunning {
		return Record{}, penstock.RetryLater(penstock.Limited, 10*time.Second, "as many commissionings are under way as may be")
	}
	s := begin(o, now)
	b.sessions[o.Controller.Name] = s
	b.running.Store(int32(len(b.sessions)))
	return s.record, nil
}

// Report takes in a report that came to the intake; reason says why it was refused.
func (b *Bench) Report(r *penstock.Report, reason penstock.Reason) {
	if b.running.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.sessions[r.Controller]; s != nil {
		s.report(r, reason)
	}
}

// Step ends what is over, and returns its records. A record that could not be
// written is kept in memory, and the error says so.
func (b *Bench) Step(now time.Time) (done []Record, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, s := range b.sessions {
		if now.Before(s.record.Ends) {
			continue
		}
		r := s.finish(now)
		delete(b.sessions, name)
		done = append(done, r)
		b.records = append(b.records, r)
		value, _ := json.Marshal(r) // texts and times: it cannot fail
		if e := b.table.Put([]byte(r.ID), append([]byte{recordVersion}, value...)); e != nil {
			err = e
		}
	}
	for len(b.records) > MaxRecords {
		if e := b.table.Delete([]byte(b.records[0].ID)); e != nil {
			err = e
		}
		b.records = slices.Delete(b.records, 0, 1)
	}
	b.running.Store(int32(len(b.sessions)))
	return done, err
}

// Records returns those of a controller, the newest first; one under way is not
// done and has no checks.
func (b *Bench) Records(controller string) []Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	found := []Record{}
	if s := b.sessions[controller]; s != nil {
		found = append(found, s.record)
	}
	for i := len(b.records) - 1; i >= 0; i-- {
		if b.records[i].Controller == controller {
			found = append(found, b.records[i])
		}
	}
	return found
}
