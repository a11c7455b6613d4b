package script_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/script"
)

// table is a table in memory that can fail.
type table struct {
	mu     sync.Mutex
	rows   map[string]string
	fails  bool
	writes int
}

func (t *table) PutAll(values map[string][]byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writes++
	if t.fails {
		return errors.New("the disk is away")
	}
	for key, value := range values {
		t.rows[key] = string(value)
	}
	return nil
}

func (t *table) Delete(key []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fails {
		return errors.New("the disk is away")
	}
	delete(t.rows, string(key))
	return nil
}

func (t *table) Scan(yield func(key, value []byte) error) error {
	for key, value := range maps.Clone(t.rows) {
		if err := yield([]byte(key), []byte(value)); err != nil {
			return err
		}
	}
	return nil
}

const counting = `export function onReport(report, ctx) {
  ctx.state = report.seq === 99 ? {} : { n: (ctx.state.n ?? 0) + 1 }
}`

func openCounting(t *testing.T, rows *table) *stage {
	t.Helper()
	return open(t, counting, func(o *script.Options) {
		var err error
		if o.States, err = script.OpenStates(rows); err != nil {
			t.Fatal(err)
		}
	})
}

// What is kept outlives a restart from the last flush on; what is empty leaves
// nothing behind, and what could not be written is written later.
func TestStatesOutliveRestarts(t *testing.T) {
	rows := &table{rows: map[string]string{}}
	s := openCounting(t, rows)
	count := func(s *stage, controller string, seq uint64) {
		t.Helper()
		r := pump()
		r.Controller, r.Identity.Seq = controller, seq
		if out := s.run(t, r); out.Fault != nil {
			t.Fatal(out.Fault)
		}
	}
	const many = 600 // more than are written in one piece
	for i := range many {
		count(s, fmt.Sprint("pump-", i), 1)
	}
	rows.fails = true
	if err := s.states.Flush(); err == nil {
		t.Error("the failure of the table is hidden")
	}
	count(s, "pump-7", 2)
	rows.fails = false
	if err := s.states.Flush(); err != nil || len(rows.rows) != many {
		t.Fatalf("%d rows, %v", len(rows.rows), err)
	}
	before := rows.writes
	if err := s.states.Flush(); err != nil || rows.writes != before {
		t.Errorf("what did not change was written again: %v", err)
	}
	count(s, "pump-7", 3) // after the last flush: a crash takes it

	s = openCounting(t, rows)
	if got := s.states.Of("pump-7"); got != `{"n":2}` {
		t.Errorf("pump-7 has %s", got)
	}
	count(s, "pump-8", 99)
	rows.fails = true
	if err := s.states.Flush(); err == nil {
		t.Error("the failure of the table is hidden")
	}
	rows.fails = false
	if err := s.states.Flush(); err != nil || len(rows.rows) != many-1 || s.states.Of("pump-8") != "" {
		t.Errorf("an empty state leaves %d rows, %v", len(rows.rows), err)
	}
}

func TestStatesThatCannotBeRead(t *testing.T) {
	for value, code := range map[string]penstock.Code{
		"":              penstock.Corrupt,
		"\x01":          penstock.Corrupt,
		"\x01\x00{":     penstock.Corrupt,
		"\x02\x00{}":    penstock.Unsupported,
		"\x01\x01{}":    penstock.Unsupported,
		"\x01\x00{}abc": penstock.Corrupt,
	} {
		_, err := script.OpenStates(&table{rows: map[string]string{"pump-1": value}})
		if penstock.CodeOf(err) != code || !strings.Contains(err.Error(), `"pump-1"`) {
			t.Errorf("%q: %v", value, err)
		}
	}
}

// Callers at once count every report of a controller, and a flush beside them
// writes what they did.
func TestManyCallers(t *testing.T) {
	rows := &table{rows: map[string]string{}}
	s := openCounting(t, rows)
	const callers, each = 8, 20
	var work sync.WaitGroup
	for i := range callers {
		work.Go(func() {
			r := pump()
			r.Controller = fmt.Sprint("pump-", i%2)
			for range each {
				out, err := s.engine.Run(t.Context(), r)
				for penstock.CodeOf(err).Temporary() { // as a sender does
					out, err = s.engine.Run(t.Context(), r)
				}
				if err != nil || out.Fault != nil {
					t.Error(err, out.Fault)
				}
			}
		})
	}
	for range 10 {
		if err := s.states.Flush(); err != nil {
			t.Error(err)
		}
	}
	work.Wait()
	want := fmt.Sprintf(`{"n":%d}`, callers/2*each)
	if err := s.states.Flush(); err != nil || rows.rows["pump-0"] != "\x01\x00"+want || s.states.Of("pump-1") != want {
		t.Errorf("%v %q %s, want %s", err, rows.rows, s.states.Of("pump-1"), want)
	}
}

// Who waits for a busy worker, or for a report of the same controller before, is
// told to try again; and after the end so.
func TestWaitingEnds(t *testing.T) {
	s := open(t, `export function onReport(report) { if (report.seq === 17) for (const end = Date.now() + 1500; Date.now() < end;); }`, func(o *script.Options) {
		o.Config.Workers = 1
	})
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { s.run(t, pump()) })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	other := pump()
	other.Controller, other.Identity.Seq = "pump-18", 1
	for {
		out, err := s.engine.Run(ctx, other)
		if err == nil && out.Fault == nil && ctx.Err() == nil {
			continue // the first one has not begun
		}
		if !penstock.CodeOf(err).Temporary() || !strings.Contains(err.Error(), "every worker is busy") {
			t.Errorf("%+v %v", out, err)
		}
		break
	}
	if _, err := s.engine.Run(ctx, pump()); !penstock.CodeOf(err).Temporary() {
		t.Errorf("%v", err)
	}
	work.Wait()
	if err := s.engine.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.engine.Run(t.Context(), other); penstock.CodeOf(err) != penstock.Closed {
		t.Errorf("after the end: %v", err)
	}
}
