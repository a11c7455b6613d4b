// Package fleettest has a table for tests of what a fleet keeps.
package fleettest

import (
	"bytes"
	"sync"
)

// Table is a table in memory that can be made to fail. Its methods are those of
// fleet.Table; its fields are for the test, while nobody writes.
type Table struct {
	mu      sync.Mutex
	Records map[string][]byte
	Puts    int   // calls of Put and PutAll that did not fail
	Fail    error // of every change, nil for none
}

// New returns a table without records.
func New() *Table { return &Table{Records: map[string][]byte{}} }

// Put implements fleet.Table.
func (t *Table) Put(key, value []byte) error {
	return t.PutAll(map[string][]byte{string(key): value})
}

// PutAll implements fleet.Table.
func (t *Table) PutAll(values map[string][]byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.Fail != nil {
		return t.Fail
	}
	t.Puts++
	for key, value := range values {
		t.Records[key] = bytes.Clone(value)
	}
	return nil
}

// Delete implements fleet.Table.
func (t *Table) Delete(key []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.Records, string(key))
	return t.Fail
}

// Scan implements fleet.Table. The records come in any order, and what is yielded
// does not last.
func (t *Table) Scan(yield func(key, value []byte) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, value := range t.Records {
		k, v := []byte(key), bytes.Clone(value)
		if err := yield(k, v); err != nil {
			return err
		}
		clear(k)
		clear(v)
	}
	return nil
}
