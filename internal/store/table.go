package store

import (
	"bytes"
	"encoding/binary"

	"github.com/penstock/penstock"
)

// Limits of a table's rows.
const (
	MaxTableKey   = 4 << 10
	MaxTableValue = 1 << 20
)

// Table is a small map on disk. Its keys may be names: on disk stands a digest,
// and the name inside the sealed value. It is safe for concurrent use.
type Table struct {
	store  *Store
	name   string
	prefix []byte
}

// Table returns the table of that name. Tables need no making.
func (s *Store) Table(name string) *Table {
	digest := s.Digest("table", name)
	return &Table{store: s, name: name, prefix: append([]byte{tableKeys}, digest[:8]...)}
}

func (t *Table) row(key []byte) []byte {
	digest := t.store.Digest("row", t.name, string(key))
	return append(bytes.Clone(t.prefix), digest[:]...)
}

// Put makes value durable under key. Its error has code [penstock.TooLarge] when
// either is over its limit.
func (t *Table) Put(key, value []byte) error {
	return t.PutAll(map[string][]byte{string(key): value})
}

// PutAll makes the values durable under their keys, all or, with an error, none
// of them. Its error has code [penstock.TooLarge] when a key or a value is over
// its limit.
func (t *Table) PutAll(values map[string][]byte) error {
	for key, value := range values {
		if len(key) > MaxTableKey || len(value) > MaxTableValue {
			return penstock.Errorf(penstock.TooLarge, "a row has at most %d bytes of key and %d of value, this one %d and %d", MaxTableKey, MaxTableValue, len(key), len(value))
		}
	}
	b := t.store.NewBatch()
	for key, value := range values {
		content := binary.AppendUvarint(nil, uint64(len(key)))
		content = append(append(content, key...), value...)
		b.Set(t.row([]byte(key)), content)
	}
	return t.store.Commit(b)
}

// Delete takes key away, durably. It is legal when there is no such key.
func (t *Table) Delete(key []byte) error {
	b := t.store.NewBatch()
	b.Delete(t.row(key))
	return t.store.Commit(b)
}

// Get returns the value of key, and false when there is none.
func (t *Table) Get(key []byte) (value []byte, found bool, err error) {
	content, found, err := t.store.Get(t.row(key))
	if !found || err != nil {
		return nil, false, err
	}
	_, value, err = t.split(content)
	return value, err == nil, err
}

// Scan yields every key and its value as they were when it began, in no useful
// order. An error of yield ends it and is returned.
func (t *Table) Scan(yield func(key, value []byte) error) error {
	return t.store.Scan(t.prefix, After(t.prefix), func(_, content []byte) error {
		key, value, err := t.split(content)
		if err != nil {
			return err
		}
		return yield(key, value)
	})
}

func (t *Table) split(content []byte) (key, value []byte, err error) {
	size, n := binary.Uvarint(content)
	if n <= 0 || size > uint64(len(content)-n) {
		return nil, nil, penstock.Errorf(penstock.Corrupt, "a row of table %s is malformed", t.name)
	}
	return content[n : n+int(size)], content[n+int(size):], nil
}
