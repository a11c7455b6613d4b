package spool

import (
	"errors"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/spool/disk"
	"github.com/penstock/penstock/internal/spool/segment"
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
	core *core             // nil when closed
	next penstock.Position // to be delivered
	held []Record          // decoded and not yet delivered

	seg  *segment.Segment // where the reader stands
	file vfs.File
	scan *segment.Scanner
}

// NewReader returns a reader whose first record is that of from, or of the
// oldest entry when from is 0. It must be closed.
func (s *Spool) NewReader(from penstock.Position) *Reader {
	if from == 0 {
		from = s.First()
	}
	return &Reader{core: s.core, next: from}
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
			if err != nil && len(out) > 0 {
				return out, nil // the next call meets it again
			}
			if err != nil {
				return nil, err
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
	r.core, r.held = nil, nil
	return r.leave()
}

func (r *Reader) leave() error {
	f := r.file
	r.seg, r.file, r.scan = nil, nil, nil
	if f == nil {
		return nil
	}
	return f.Close()
}

// fill decodes the next frame that has something to deliver.
func (r *Reader) fill() error {
	if r.core == nil {
		return penstock.Errorf(penstock.Closed, "the reader is closed")
	}
	for len(r.held) == 0 {
		v, err := r.core.view(r.next)
		if err != nil {
			return err
		}
		if err := r.enter(v.seg); err != nil {
			return err
		}
		f, err := r.scan.Next(v.end)
		switch {
		case errors.Is(err, io.EOF) && v.follow == nil:
			return io.EOF // rot at the very end: what it was stands in the frame to come
		case errors.Is(err, io.EOF):
			d, err := v.follow.FirstDigests(r.core.opt.FS)
			if err != nil {
				return err
			}
			r.damaged(v.limit, d)
		case err != nil:
			return err
		default:
			r.deliver(f, v.limit)
		}
	}
	return nil
}

// enter opens the segment unless the reader is in it.
func (r *Reader) enter(seg *segment.Segment) error {
	if r.seg == seg {
		return nil
	}
	if err := r.leave(); err != nil {
		return disk.Error(err, "close a segment")
	}
	file, err := r.core.opt.FS.Open(seg.Path)
	if disk.IsMissing(err) {
		return penstock.Errorf(penstock.NotFound, "position %d was released", r.next)
	}
	if err != nil {
		return disk.Error(err, "open %s", seg.Path)
	}
	r.seg, r.file, r.scan = seg, file, seg.Scan(file)
	return nil
}

// deliver holds the entries of a frame from the next position on, and before
// them the range that is missing.
func (r *Reader) deliver(f segment.Frame, limit penstock.Position) {
	if f.First > r.next {
		r.damaged(min(f.First, limit), f.Digests)
	}
	if f.First >= limit {
		return // void, or not durable yet
	}
	for i, e := range f.Entries {
		if p := f.First + penstock.Position(i); p == r.next && p < limit {
			r.held = append(r.held, Record{Position: p, Entry: e, First: p, Last: p})
			r.next++
		}
	}
}

// damaged holds the records for what is missing before end.
func (r *Reader) damaged(end penstock.Position, d segment.Digests) {
	r.held = append(r.held, missing(r.next, end, d)...)
	r.next = end
}

// missing returns the records for the entries from next to before end, those
// whose digests are known apart.
func missing(next, end penstock.Position, d segment.Digests) (out []Record) {
	known := d.Known(next, end)
	if known > next {
		out = append(out, Record{Damaged: true, Position: next, First: next, Last: known - 1})
	}
	if known < end {
		out = append(out, Record{Damaged: true, Position: known, First: known, Last: end - 1, Digests: d.Each[known-d.First:]})
	}
	return out
}
