package merge

import (
	"github.com/penstock/penstock/internal/historian/layout"
	"github.com/penstock/penstock/internal/store"
)

// supply gives the chunks of a series by day and start.
type supply struct {
	cursor      *store.Cursor
	id          layout.SeriesID
	flushed     uint64
	first, last int64

	keys   []layout.ChunkKey
	values [][]byte
	next   []byte // key to read on from within the day; nil when the day is done
	day    layout.Day
	begun  bool
	done   bool
	taken  int
}

// peek returns the key of the next chunk, and false when there is none.
func (s *supply) peek() (layout.ChunkKey, bool, error) {
	for len(s.keys) == 0 {
		if s.next == nil {
			if err := s.seekDay(); err != nil {
				return layout.ChunkKey{}, false, err
			}
		}
		if s.done {
			return layout.ChunkKey{}, false, nil
		}
		if err := s.page(); err != nil {
			return layout.ChunkKey{}, false, err
		}
	}
	return s.keys[0], true, nil
}

// waiting returns the start of the chunk that peek returned last.
func (s *supply) waiting() (int64, bool) {
	if len(s.keys) == 0 {
		return 0, false
	}
	return s.keys[0].Start, true
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
	day := layout.DayOf(s.first)
	if s.begun {
		day = s.day + 1
	}
	s.begun = true
	for ; day <= layout.DayOf(s.last); day++ {
		key, err := s.cursor.Seek(layout.ChunkPrefix(day, s.id), layout.Chunk.End())
		if err != nil {
			return err
		}
		found, ok := layout.ParseChunkKey(key)
		if !ok {
			break
		}
		if found.Day == day && found.Series == s.id {
			s.day, s.next = day, key
			return nil
		}
		if found.Day > day && found.Series <= s.id {
			day = found.Day - 1 // look at this day next
		} else if found.Day > day {
			day = found.Day // its first series is behind this one
		}
	}
	s.done = true
	return nil
}

// page reads on within the day.
func (s *supply) page() error {
	first, last, flushed := s.first, s.last, s.flushed
	page, err := s.cursor.Page(s.next, store.After(layout.ChunkPrefix(s.day, s.id)), func(key []byte) store.Choice {
		k, ok := layout.ParseChunkKey(key)
		switch {
		case !ok || k.End < first || k.Flush > flushed:
			return store.Skip
		case k.Start > last:
			return store.Stop
		}
		return store.Take
	})
	if err != nil {
		return err
	}
	s.keys, s.values, s.next = s.keys[:0], s.values[:0], page.Next
	for _, p := range page.Pairs {
		key, _ := layout.ParseChunkKey(p.Key)
		s.keys, s.values = append(s.keys, key), append(s.values, p.Value)
	}
	return nil
}
