package shelf

import (
	"encoding/binary"
	"sync"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/store"
)

// First bytes of keys, and what stands behind the digest of the name.
const (
	ownKeys    = store.FirstFree + 1
	placeRow   = 'p'
	heldRow    = 'q'
	digestSize = 8
)

// MaxHeld is how many reports a sink has in quarantine at most.
const MaxHeld = 10_000

// Shelf is what one sink has on disk. It is safe for concurrent use.
type Shelf struct {
	store *store.Store
	name  []byte // what the keys begin with

	mu    sync.Mutex // guards what follows
	place Place
}

// Open returns the shelf of a sink, empty when there was none.
func Open(st *store.Store, sink string) (*Shelf, error) {
	digest := st.Digest("sink", sink)
	s := &Shelf{store: st, name: append([]byte{ownKeys}, digest[:digestSize]...), place: Place{next: 1}}
	value, found, err := st.Get(s.key(placeRow))
	if err == nil && found {
		s.place, err = readPlace(value)
	}
	if err != nil {
		return nil, penstock.Errorf(penstock.CodeOf(err), "sink %s: %w", sink, err)
	}
	return s, nil
}

// Highest returns the highest position that a sink of this node, whichever, has
// settled, 0 when there is none.
func Highest(st *store.Store) (highest penstock.Position, err error) {
	err = st.Scan([]byte{ownKeys}, []byte{ownKeys + 1}, func(key, value []byte) error {
		if len(key) != 1+digestSize+1 || key[1+digestSize] != placeRow {
			return nil
		}
		p, err := readPlace(value)
		highest = max(highest, penstock.Position(p.Settled.Highest()))
		return err
	})
	return highest, err
}

func (s *Shelf) key(row byte) []byte {
	return append(append(make([]byte, 0, 1+digestSize+1+8), s.name...), row)
}

func (s *Shelf) heldKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64(s.key(heldRow), number)
}

// Place returns a copy of the place.
func (s *Shelf) Place() Place {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.place.Clone()
}

// Change is what becomes durable at once.
type Change struct {
	Edit   func(*Place) // nil for none; the count of the quarantine follows by itself
	Put    []Held       // with number 0: a new one
	Remove []uint64     // from the quarantine
}

// Save makes a change durable. Code [penstock.NotFound]: a report to be removed, or
// to be put again, is not in quarantine any more. Code [penstock.Full]: the
// quarantine has [MaxHeld] reports. After an error nothing has changed.
func (s *Shelf) Save(c Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	place := s.place.Clone()
	if c.Edit != nil {
		c.Edit(&place)
	}
	b := s.store.NewBatch()
	defer b.Close()
	for _, number := range c.Remove {
		if err := s.there(number); err != nil {
			return err
		}
		b.Delete(s.heldKey(number))
		place.Books.Quarantined--
	}
	for i := range c.Put {
		h := c.Put[i]
		if h.Number == 0 {
			h.Number = place.next
			place.next++
			place.Books.Quarantined++
		} else if err := s.there(h.Number); err != nil {
			return err
		}
		b.Set(s.heldKey(h.Number), h.append(nil))
	}
	if place.Books.Quarantined > MaxHeld {
		return penstock.Errorf(penstock.Full, "the quarantine has %d reports, which is all that it may: retry, export or discard some", MaxHeld)
	}
	b.Set(s.key(placeRow), place.append(nil))
	if err := s.store.Commit(b); err != nil {
		return err
	}
	s.place = place
	return nil
}

// there returns an error when no report with the number is in quarantine.
func (s *Shelf) there(number uint64) error {
	_, found, err := s.store.Get(s.heldKey(number))
	if err == nil && !found {
		err = penstock.Errorf(penstock.NotFound, "report %d is not in quarantine", number)
	}
	return err
}

// List returns at most limit reports in quarantine with numbers from first on.
func (s *Shelf) List(first uint64, limit int) (list []Held, err error) {
	var failure error
	err = s.scan(first, func(number uint64, value []byte) bool {
		if len(list) >= limit {
			return false
		}
		h, err := readHeld(number, value)
		if err != nil {
			failure = err
			return false
		}
		list = append(list, h)
		return true
	})
	if err == nil {
		err = failure
	}
	return list, err
}

// scan yields the rows of the quarantine from number first on until yield returns
// false.
func (s *Shelf) scan(first uint64, yield func(number uint64, value []byte) bool) (err error) {
	c, err := s.store.NewCursor()
	if err != nil {
		return err
	}
	defer func() {
		if closed := c.Close(); err == nil {
			err = closed
		}
	}()
	for from, end := s.heldKey(first), s.key(heldRow+1); from != nil; {
		page, err := c.Page(from, end, nil)
		if err != nil {
			return err
		}
		for _, p := range page.Pairs {
			if !yield(binary.BigEndian.Uint64(p.Key[1+digestSize+1:]), p.Value) {
				return nil
			}
		}
		from = page.Next
	}
	return nil
}
