package historian

import (
	"cmp"
	"context"
	"slices"
	"sort"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/chunk"
	"github.com/penstock/penstock/internal/store"
)

// view is one series at a moment: the head's blocks and the store's chunks.
type view struct {
	h       *Historian
	id      SeriesID
	points  int // of the controller
	frozen  []block
	active  []block
	flushed uint64 // chunks of later flushes are those that frozen still holds
	horizon int64
	cursor  *store.Cursor
}

func (h *Historian) view(id SeriesID) (*view, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	c, _, err := h.catalogue.find(id)
	if err != nil {
		return nil, err
	}
	cursor, err := h.o.Store.NewCursor()
	if err != nil {
		return nil, err
	}
	return &view{
		h: h, id: id, points: len(c.series), flushed: h.head.flushed, horizon: h.horizon.start(), cursor: cursor,
		frozen: slices.Clone(h.head.frozen[c.number].blocks), active: slices.Clone(c.log.blocks),
	}, nil
}

func (v *view) close() error { return v.cursor.Close() }

// rank orders samples of one time: by flush, then by the order within it.
type rank struct {
	flush   uint64
	ordinal uint32
}

func (r rank) compare(o rank) int {
	return cmp.Or(cmp.Compare(r.flush, o.flush), cmp.Compare(r.ordinal, o.ordinal))
}

// part is columns that take part in a merge, and how far it is with them.
type part struct {
	columns *chunk.Columns
	at, end int
	rank    rank
}

func (p *part) time() int64 { return p.columns.Times[p.at] }

// run is samples that follow each other in the order of the series.
type run struct {
	columns  *chunk.Columns // good until the next call
	from, to int
}

// merger reads the samples of a series from first to last, both included, in the
// order of time, then rank. Chunks are opened when their time has come, so that
// memory holds only those that overlap.
type merger struct {
	v           *view
	first, last int64
	parts       []*part // by the time and rank of their next sample
	chunks      supply
	spare       []*part
	shown       *part // its run was returned last
}

// merge starts a merge of the head and the chunks.
func (v *view) merge(first, last int64) *merger {
	first = max(first, v.horizon)
	m := &merger{v: v, first: first, last: last}
	m.chunks = supply{cursor: v.cursor, id: v.id, flushed: v.flushed, first: first, last: last}
	return m
}

// addHead puts the head's samples into the merge: they are later than all chunks.
func (m *merger) addHead() error {
	for i, blocks := range [2][]block{m.v.frozen, m.v.active} {
		var samples []penstock.Sample
		_, wanted := m.v.id.split()
		err := each(blocks, m.v.points, m.first, m.last, func(point uint32, s *penstock.Sample) {
			if point == wanted && s.SourceTime >= m.first && s.SourceTime <= m.last {
				samples = append(samples, *s)
			}
		})
		if err != nil {
			return err
		}
		for k, c := range inColumns(samples) {
			m.add(&part{columns: c, end: c.Len(), rank: rank{m.v.flushed + 1 + uint64(i), uint32(k)}})
		}
	}
	return nil
}

// add puts a part where its next sample belongs.
func (m *merger) add(p *part) {
	i := sort.Search(len(m.parts), func(i int) bool {
		q := m.parts[i]
		return cmp.Or(cmp.Compare(p.time(), q.time()), p.rank.compare(q.rank)) < 0
	})
	m.parts = slices.Insert(m.parts, i, p)
}

// next returns the next run, and false at the end.
func (m *merger) next(ctx context.Context) (run, bool, error) {
	if err := ctx.Err(); err != nil {
		return run{}, false, err
	}
	m.putBack()
	if err := m.open(); err != nil {
		return run{}, false, err
	}
	if len(m.parts) == 0 {
		return run{}, false, nil
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
	return run{top.columns, from, top.at}, true, nil
}

// putBack returns the part that was shown to its place, or to the spare ones.
func (m *merger) putBack() {
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

// open opens the chunks that begin no later than the next sample.
func (m *merger) open() error {
	for {
		key, ok, err := m.chunks.peek()
		if err != nil || !ok {
			return err
		}
		if len(m.parts) > 0 && key.start > m.parts[0].time() {
			return nil
		}
		p := &part{columns: new(chunk.Columns)}
		if n := len(m.spare); n > 0 {
			p, m.spare = m.spare[n-1], m.spare[:n-1]
		}
		if err := m.v.h.decoder.Decode(m.chunks.take(), p.columns); err != nil {
			return err
		}
		p.rank = rank{key.flush, key.ordinal}
		p.at, p.end = 0, p.columns.Len()
		p.at = p.before(m.first)
		if m.last < endOfTime {
			p.end = p.before(m.last + 1)
		}
		if p.at < p.end {
			m.add(p)
		} else {
			m.spare = append(m.spare, p)
		}
	}
}

// limit returns the time at which another part, or an unopened chunk, goes on.
func (m *merger) limit() (int64, bool) {
	limit, bounded := int64(endOfTime), false
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

// supply gives the chunks of a series by day and start.
type supply struct {
	cursor      *store.Cursor
	id          SeriesID
	flushed     uint64
	first, last int64

	keys   []chunkKey
	values [][]byte
	next   []byte // key to read on from within the day; nil when the day is done
	day    Day
	begun  bool
	done   bool
	taken  int
}

// peek returns the key of the next chunk, and false when there is none.
func (s *supply) peek() (chunkKey, bool, error) {
	for len(s.keys) == 0 {
		if s.next == nil {
			if err := s.seekDay(); err != nil {
				return chunkKey{}, false, err
			}
		}
		if s.done {
			return chunkKey{}, false, nil
		}
		if err := s.page(); err != nil {
			return chunkKey{}, false, err
		}
	}
	return s.keys[0], true, nil
}

// waiting returns the start of the chunk that peek returned last.
func (s *supply) waiting() (int64, bool) {
	if len(s.keys) == 0 {
		return 0, false
	}
	return s.keys[0].start, true
}

// take returns the value of the chunk that peek returned.
func (s *supply) take() []byte {
	value := s.values[0]
	s.keys, s.values = s.keys[1:], s.values[1:]
	s.taken++
	return value
}

// seekDay finds the next day in which the series has chunks. It jumps from key to
// key, so that days without any cost nothing.
func (s *supply) seekDay() error {
	day := DayOf(s.first)
	if s.begun {
		day = s.day + 1
	}
	s.begun = true
	for ; day <= DayOf(s.last); day++ {
		key, err := s.cursor.Seek(chunkPrefix(day, s.id), row(rowChunk+1))
		if err != nil {
			return err
		}
		found, ok := parseChunkKey(key)
		if !ok {
			break
		}
		if found.day == day && found.series == s.id {
			s.day, s.next = day, key
			return nil
		}
		if found.day > day && found.series <= s.id {
			day = found.day - 1 // look at this day next
		} else if found.day > day {
			day = found.day // its first series is behind this one
		}
	}
	s.done = true
	return nil
}

// page reads on within the day.
func (s *supply) page() error {
	first, last, flushed := s.first, s.last, s.flushed
	page, err := s.cursor.Page(s.next, store.After(chunkPrefix(s.day, s.id)), func(key []byte) store.Choice {
		k, ok := parseChunkKey(key)
		switch {
		case !ok || k.end < first || k.flush > flushed:
			return store.Skip
		case k.start > last:
			return store.Stop
		}
		return store.Take
	})
	if err != nil {
		return err
	}
	s.keys, s.values, s.next = s.keys[:0], s.values[:0], page.Next
	for _, p := range page.Pairs {
		key, _ := parseChunkKey(p.Key)
		s.keys, s.values = append(s.keys, key), append(s.values, p.Value)
	}
	return nil
}
