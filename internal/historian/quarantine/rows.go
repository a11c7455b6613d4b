package quarantine

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/penstock/penstock/internal/historian/layout"
	"github.com/penstock/penstock/internal/store"
)

// Changes are what a transaction did to the quarantine, which the store does not show
// yet. The zero Changes are none.
type Changes struct {
	rows map[uint64]*Report // nil for one that is gone
}

// Add writes a row.
func (c *Changes) Add(b *store.Batch, q Report) {
	b.Set(layout.Quarantine.Of8(q.Number), Append(nil, q))
	c.note(q.Number, &q)
}

// Remove takes a row away. Its number is not used again, also when it was the last
// one: next, the number of the next report, is durable from then on.
func (c *Changes) Remove(b *store.Batch, number, next uint64) {
	b.Delete(layout.Quarantine.Of8(number))
	b.Set(layout.Numbers.First(), binary.BigEndian.AppendUint64(nil, next))
	c.note(number, nil)
}

func (c *Changes) note(number uint64, q *Report) {
	if c.rows == nil {
		c.rows = map[uint64]*Report{}
	}
	c.rows[number] = q
}

// Get returns a report in quarantine, nil when there is none with the number.
func (c *Changes) Get(st *store.Store, number uint64) (*Report, error) {
	if q, changed := c.rows[number]; changed {
		return q, nil
	}
	value, found, err := st.Get(layout.Quarantine.Of8(number))
	if !found || err != nil {
		return nil, err
	}
	q, ok := Read(value)
	if !ok {
		return nil, layout.Damaged("quarantined reports")
	}
	q.Number = number
	return &q, nil
}

// Next returns the number of the next report, at least atLeast: what a flush noted,
// which it does later than the reports come and go.
func Next(st *store.Store, atLeast uint64) (uint64, error) {
	value, found, err := st.Get(layout.Numbers.First())
	if err != nil {
		return 0, err
	}
	if found && len(value) != 8 {
		return 0, layout.Damaged("quarantined reports")
	}
	if found {
		atLeast = max(atLeast, binary.BigEndian.Uint64(value))
	}
	err = st.Scan(layout.Quarantine.Of8(atLeast), layout.Quarantine.End(), func(key, _ []byte) error {
		if len(key) != keySize {
			return layout.Damaged("quarantined reports")
		}
		atLeast = binary.BigEndian.Uint64(key[2:]) + 1
		return nil
	})
	return atLeast, err
}

const keySize = 2 + 8

// List returns at most limit reports in quarantine with numbers from first on.
func List(ctx context.Context, st *store.Store, first uint64, limit int) (list []Report, err error) {
	c, err := st.NewCursor()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for from := layout.Quarantine.Of8(first); from != nil && len(list) < limit; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		page, err := c.Page(from, layout.Quarantine.End(), nil)
		if err != nil {
			return nil, err
		}
		for _, p := range page.Pairs[:min(len(page.Pairs), limit-len(list))] {
			q, ok := Read(p.Value)
			if !ok || len(p.Key) != keySize {
				return nil, layout.Damaged("quarantined reports")
			}
			q.Number = binary.BigEndian.Uint64(p.Key[2:])
			list = append(list, q)
		}
		from = page.Next
	}
	return list, nil
}
