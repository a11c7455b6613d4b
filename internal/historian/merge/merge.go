package merge

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sort"
	"sync"

	"github.com/penstock/penstock/internal/historian/chunk"
	"github.com/penstock/penstock/internal/historian/layout"
	"github.com/penstock/penstock/internal/store"
)

// Source is what a merge of one series reads from. Cursor and Pool stay their
// owner's.
type Source struct {
	Cursor  *store.Cursor
	Decoder *chunk.Decoder
	Pool    *sync.Pool // of parts, used again by later merges
	Series  layout.SeriesID
	Flushed uint64 // chunks of later flushes are passed over
}

// Rank orders samples of one time: by flush, then by the order within it.
type Rank struct {
	Flush   uint64
	Ordinal uint32
}

func (r Rank) compare(o Rank) int {
	return cmp.Or(cmp.Compare(r.Flush, o.Flush), cmp.Compare(r.Ordinal, o.Ordinal))
}

// part is columns that take part in a merge, and how far it is with them.
type part struct {
	columns *chunk.Columns
	at, end int
	rank    Rank
}

func (p *part) time() int64 { return p.columns.Times[p.at] }

// Run is samples that follow each other in the order of the series.
type Run struct {
	Columns  *chunk.Columns // good until the next call
	From, To int
}

// Merger reads the samples of a series from first to last, both included, in the
// order of time, then rank. Chunks are opened when their time has come, so that
// memory holds only those that overlap.
type Merger struct {
	source      Source
	first, last int64
	parts       []*part // by the time and rank of their next sample
	chunks      supply
	spare       []*part
	shown       *part // its run was returned last
}

// New starts a merge of the chunks from first to last, both included.
func New(s Source, first, last int64) *Merger {
	return &Merger{source: s, first: first, last: last, chunks: supply{cursor: s.Cursor, id: s.Series, flushed: s.Flushed, first: first, last: last}}
}

// Add puts columns that stand in no chunk into the merge, before the first Next.
func (m *Merger) Add(c *chunk.Columns, r Rank) {
	p := &part{columns: c, rank: r}
	if m.cut(p) {
		m.add(p)
	}
}

// cut limits the part to the times of the merge, and tells whether any is left.
func (m *Merger) cut(p *part) bool {
	p.at, p.end = 0, p.columns.Len()
	p.at = p.before(m.first)
	if m.last < math.MaxInt64 {
		p.end = p.before(m.last + 1)
	}
	return p.at < p.end
}

// add puts a part where its next sample belongs.
func (m *Merger) add(p *part) {
	i := sort.Search(len(m.parts), func(i int) bool {
		q := m.parts[i]
		return cmp.Or(cmp.Compare(p.time(), q.time()), p.rank.compare(q.rank)) < 0
	})
	m.parts = slices.Insert(m.parts, i, p)
}

// Next returns the next run, and false at the end.
func (m *Merger) Next(ctx context.Context) (Run, bool, error) {
	if err := ctx.Err(); err != nil {
		return Run{}, false, err
	}
	m.putBack()
	if err := m.open(); err != nil {
		return Run{}, false, err
	}
	if len(m.parts) == 0 {
		return Run{}, false, nil
	}
	top := m.parts[0]
	m.parts = slices.Delete(m.parts, 0, 1)
	from := top.at
	limit, bounded := m.limit()
	if !bounded {
		top.at = top.end
	} else if top.at = top.before(limit); top.at == from {
		for top.at < top.end && top.time() == limit { // its rank is the lowest of this time
			top.at++
		}
	}
	m.shown = top
	return Run{top.columns, from, top.at}, true, nil
}

// putBack returns the part that was shown to its place, or to the spare ones.
func (m *Merger) putBack() {
	p := m.shown
	m.shown = nil
	if p == nil {
		return
	}
	if p.at < p.end {
		m.add(p)
	} else {
		m.spare = append(m.spare, p)
	}
}

// part returns a part to decode into: its columns are large, so they are used
// again, also by later queries.
func (m *Merger) part() *part {
	if n := len(m.spare); n > 0 {
		p := m.spare[n-1]
		m.spare = m.spare[:n-1]
		return p
	}
	if p, ok := m.source.Pool.Get().(*part); ok {
		return p
	}
	return &part{columns: new(chunk.Columns)}
}

// Close gives the parts back.
func (m *Merger) Close() {
	for _, p := range append(m.spare, m.parts...) {
		m.source.Pool.Put(p)
	}
	if m.shown != nil {
		m.source.Pool.Put(m.shown)
	}
	*m = Merger{}
}

// open opens the chunks that begin no later than the next sample.
func (m *Merger) open() error {
	for {
		key, ok, err := m.chunks.peek()
		if err != nil || !ok {
			return err
		}
		if len(m.parts) > 0 && key.Start > m.parts[0].time() {
			return nil
		}
		p := m.part()
		if err := m.source.Decoder.Decode(m.chunks.take(), p.columns); err != nil {
			return err
		}
		p.rank = Rank{key.Flush, key.Ordinal}
		if m.cut(p) {
			m.add(p)
		} else {
			m.spare = append(m.spare, p)
		}
	}
}

// limit returns the time at which another part, or an unopened chunk, goes on.
func (m *Merger) limit() (int64, bool) {
	limit, bounded := int64(math.MaxInt64), false
	if len(m.parts) > 0 {
		limit, bounded = m.parts[0].time(), true
	}
	if start, waiting := m.chunks.waiting(); waiting && (!bounded || start < limit) {
		limit, bounded = start, true
	}
	return limit, bounded
}

// before returns the index of the first sample that is not before t.
func (p *part) before(t int64) int {
	if p.columns.Times[p.end-1] < t {
		return p.end
	}
	n, _ := slices.BinarySearch(p.columns.Times[p.at:p.end], t)
	return p.at + n
}
