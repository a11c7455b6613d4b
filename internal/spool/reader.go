package spool

import (
	"errors"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
)

// Record is an entry that was read, or a range of entries that cannot be.
type Record struct {
	Position penstock.Position // of the entry
	Entry                      // the entry

	// Damaged: the entries First to Last were acknowledged, and the disk has
	// lost them. Digests are theirs, in order, when the second copy is whole;
	// otherwise there are none.
	Damaged     bool
	First, Last penstock.Position // of what the record stands for, also when it is one entry
	Digests     [][]byte
}

// Reader reads the log from some position on. It is for one goroutine.
type Reader struct {
	s    *Spool
	next penstock.Position // to be delivered
	held []Record          // decoded and not yet delivered
	at   place
}

// place is where a reader stands.
type place struct {
	seg  *segment
	file vfs.File
	scan *scanner
}

// NewReader returns a reader whose first record is that of from, or of the
// oldest entry when from is 0. It must be closed.
func (s *Spool) NewReader(from penstock.Position) *Reader {
	if from == 0 {
		from = s.First()
	}
	return &Reader{s: s, next: from}
}

// Next returns at most max records, of durable entries only, in the order of
// their positions and without a gap; io.EOF when there is none yet. What it
// returns stays valid. Codes of other errors, after which it can be called
// again: [penstock.NotFound] when the position was released,
// [penstock.Unavailable] for the disk's, [penstock.Closed].
func (r *Reader) Next(max int) ([]Record, error) {
	var out []Record
	for len(out) < max {
		if len(r.held) == 0 {
			err := r.fill()
			if errors.Is(err, io.EOF) && len(out) > 0 {
				return out, nil
			}
			if err != nil {
				return out, err
			}
		}
		n := min(max-len(out), len(r.held))
		out = append(out, r.held[:n]...)
		r.held = r.held[n:]
	}
	return out, nil
}

// Close releases what the reader holds. It is legal twice.
func (r *Reader) Close() error {
	r.s, r.held = nil, nil
	return r.leave()
}

func (r *Reader) leave() error {
	f := r.at.file
	r.at = place{}
	if f == nil {
		return nil
	}
	return f.Close()
}

// view is what a reader may see of the segment that holds a position.
type view struct {
	seg    *segment
	end    int64             // bytes of it that may be read
	limit  penstock.Position // entries from here on are not this segment's, or not durable
	newest bool              // it is written to
	follow *segment          // the segment after it
}

func (s *Spool) view(p penstock.Position) (view, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	segs := s.log.segments
	i := byPosition(segs, p)
	if i < 0 {
		return view{}, penstock.Errorf(penstock.NotFound, "position %d was released: the oldest is %d", p, segs[0].first)
	}
	if p > s.log.durable {
		return view{}, io.EOF
	}
	v := view{seg: segs[i], end: segs[i].end, limit: s.log.durable + 1, newest: true}
	if i+1 < len(segs) {
		v.limit, v.newest, v.follow = segs[i+1].first, false, segs[i+1]
	}
	return v, nil
}

// fill decodes the next frame that has something to deliver.
func (r *Reader) fill() error {
	if r.s == nil {
		return penstock.Errorf(penstock.Closed, "the reader is closed")
	}
	for len(r.held) == 0 {
		v, err := r.s.view(r.next)
		if err != nil {
			return err
		}
		if err := r.enter(v.seg); err != nil {
			return err
		}
		f, err := r.at.scan.next(v.end)
		switch {
		case errors.Is(err, io.EOF) && v.newest:
			return io.EOF // rot at the very end: what it was stands in the frame to come
		case errors.Is(err, io.EOF):
			err = r.endOf(v)
		case err == nil:
			r.deliver(f, v.limit)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// enter opens the segment unless the reader is in it.
func (r *Reader) enter(seg *segment) error {
	if r.at.seg == seg {
		return nil
	}
	if err := r.leave(); err != nil {
		return diskError(err, "close a segment")
	}
	file, err := r.s.dir.fs.Open(seg.path)
	if isMissing(err) {
		return penstock.Errorf(penstock.NotFound, "position %d was released", r.next)
	}
	if err != nil {
		return diskError(err, "open %s", seg.path)
	}
	r.at = place{seg: seg, file: file, scan: seg.scan(file)}
	return nil
}

// deliver holds the entries of a frame from the next position on, and before
// them the range that is missing.
func (r *Reader) deliver(f frame, limit penstock.Position) {
	if f.first > r.next {
		r.damaged(min(f.first, limit), f.digests)
	}
	if f.first >= limit {
		return
	}
	for i, e := range f.entries {
		p := f.first + penstock.Position(i)
		if p == r.next && p < limit {
			r.held = append(r.held, Record{Position: p, Entry: e, First: p, Last: p})
			r.next++
		}
	}
}

// endOf ends a segment that is not written to any more. What is missing at its
// end may be known from the start of the next.
func (r *Reader) endOf(v view) error {
	if r.next >= v.limit {
		return nil
	}
	file, err := r.s.dir.fs.Open(v.follow.path)
	if err != nil {
		return diskError(err, "open %s", v.follow.path)
	}
	defer file.Close()
	f, err := v.follow.scan(file).next(v.follow.size)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	r.damaged(v.limit, f.digests)
	return nil
}

// damaged holds the records for what is missing before end.
func (r *Reader) damaged(end penstock.Position, d digests) {
	r.held = append(r.held, missing(r.next, end, d)...)
	r.next = end
}

// missing returns the records for the entries from next to before end, those
// whose digests are known apart.
func missing(next, end penstock.Position, d digests) (out []Record) {
	known := end
	if d.end() == end && len(d.each) > 0 {
		known = max(d.first, next)
		d.each = d.each[known-d.first:]
	}
	if known > next {
		out = append(out, Record{Damaged: true, Position: next, First: next, Last: known - 1})
	}
	if known < end {
		out = append(out, Record{Damaged: true, Position: known, First: known, Last: end - 1, Digests: d.each})
	}
	return out
}
