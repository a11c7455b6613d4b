package store

import (
	"bytes"
	"errors"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/penstock/penstock"
)

// Pair is a key and its value, opened.
type Pair struct {
	Key, Value []byte
}

// Choice is what a page does with a key.
type Choice uint8

// The choices.
const (
	Take Choice = iota
	Skip
	Stop // neither this key nor what follows it
)

// Cursor reads the store as it was when the cursor was made, page by page. It is
// for one goroutine, and must be closed.
type Cursor struct {
	store *Store
	iter  *pebble.Iterator

	mu sync.Mutex // held while Pebble reads, so that closing the store waits
}

// NewCursor returns a cursor over the whole store.
func (s *Store) NewCursor() (*Cursor, error) {
	return run(s.life, func() (*Cursor, error) {
		iter, err := s.db.NewIter(nil)
		if err != nil {
			return nil, coded(err)
		}
		c := &Cursor{store: s, iter: iter}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cursors[c] = struct{}{}
		return c, nil
	})
}

// Close ends the cursor. It is legal twice, and after the store was closed.
func (c *Cursor) Close() error {
	_, err := run(c.store.life, func() (struct{}, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.store.mu.Lock()
		_, open := c.store.cursors[c]
		delete(c.store.cursors, c)
		c.store.mu.Unlock()
		if !open {
			return struct{}{}, nil
		}
		return struct{}{}, coded(c.iter.Close())
	})
	if penstock.CodeOf(err) == penstock.Closed {
		return nil // the store closed it
	}
	return err
}

// Seek returns the first key from first on and before last, nil when there is
// none.
func (c *Cursor) Seek(first, last []byte) ([]byte, error) {
	return run(c.store.life, func() ([]byte, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.iter.SetBounds(first, last)
		if !c.iter.First() {
			return nil, coded(c.iter.Error())
		}
		return bytes.Clone(c.iter.Key()), nil
	})
}

// Page is part of a range.
type Page struct {
	Pairs []Pair
	Next  []byte // the key to go on from; nil at the end of the range
}

// pageSize is how many bytes of values make a page.
const pageSize = 128 << 10

// Page returns the pairs from first on and before last that choose takes, as many
// as fit a page. A nil choose takes all. It must not touch anything that changes.
func (c *Cursor) Page(first, last []byte, choose func(key []byte) Choice) (Page, error) {
	return run(c.store.life, func() (Page, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.page(first, last, choose)
	})
}

func (c *Cursor) page(first, last []byte, choose func(key []byte) Choice) (Page, error) {
	var p Page
	size := 0
	c.iter.SetBounds(first, last)
	for ok := c.iter.First(); ok; ok = c.iter.Next() {
		key := c.iter.Key()
		choice := Take
		if choose != nil {
			choice = choose(key)
		}
		if choice == Stop {
			return p, nil
		}
		if choice == Skip {
			continue
		}
		if size >= pageSize {
			p.Next = bytes.Clone(key)
			return p, nil
		}
		sealed, err := c.iter.ValueAndErr()
		if err != nil {
			return Page{}, coded(err)
		}
		value, err := c.store.seal.open(nil, key, sealed)
		if err != nil {
			return Page{}, err
		}
		size += len(value)
		p.Pairs = append(p.Pairs, Pair{Key: bytes.Clone(key), Value: value})
	}
	return p, coded(c.iter.Error())
}

// Keys returns at most limit keys from first on and before last, and the key to
// go on from, nil at the end.
func (c *Cursor) Keys(first, last []byte, limit int) (keys [][]byte, next []byte, err error) {
	type part struct {
		keys [][]byte
		next []byte
	}
	p, err := run(c.store.life, func() (p part, err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.iter.SetBounds(first, last)
		for ok := c.iter.First(); ok; ok = c.iter.Next() {
			if len(p.keys) == limit {
				p.next = bytes.Clone(c.iter.Key())
				break
			}
			p.keys = append(p.keys, bytes.Clone(c.iter.Key()))
		}
		return p, coded(c.iter.Error())
	})
	return p.keys, p.next, err
}

// Scan yields the pairs from first on and before last, in the order of their
// keys, as they were when it began. An error of yield ends it and is returned.
func (s *Store) Scan(first, last []byte, yield func(key, value []byte) error) (err error) {
	c, err := s.NewCursor()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for first != nil {
		page, err := c.Page(first, last, nil)
		if err != nil {
			return err
		}
		for _, p := range page.Pairs {
			if err := yield(p.Key, p.Value); err != nil {
				return err
			}
		}
		first = page.Next
	}
	return nil
}

// After returns the first key behind all that start with prefix, nil when there
// is none.
func After(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			after := bytes.Clone(prefix[:i+1])
			after[i]++
			return after
		}
	}
	return nil
}
