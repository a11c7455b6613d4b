package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
)

// FrameInfo tells of one frame.
type FrameInfo struct {
	Segment uint64
	Offset  int64 // of the file
	Size    int64 // with its padding
	Number  uint64
	Type    string            // opening, batch, mark or seal
	First   penstock.Position // of its first entry, or of the next one to come
	Entries int
	Acked   uint64 // through this frame the segment was synced when it was written
	Time    time.Time
	Void    bool   // its entries count no more: a later segment starts before them
	Origin  string // of an opening: why, and after what
}

// Damage is a part of the spool that is not as it was written.
type Damage struct {
	Path     string
	From, To int64 // bytes of the file, To excluded
	What     string
	// Lost are the entries that cannot be read for it.
	Lost []Record
}

// Report is what an inspection found.
type Report struct {
	Node        [16]byte
	First, Last penstock.Position // of the entries that count
	Segments    int
	Frames      int
	Entries     int // of those, readable
	Bytes       int64
	Snapshots   []SnapshotInfo
	Damage      []Damage
	Notes       []string // what else a person should know: missing segments, strange files
}

// SnapshotInfo tells of one snapshot.
type SnapshotInfo struct {
	Path    string
	Through penstock.Position
	Bytes   int64
	Err     error // why it cannot be read
}

// Sound tells whether nothing is damaged or missing.
func (r *Report) Sound() bool {
	for _, s := range r.Snapshots {
		if s.Err != nil {
			return false
		}
	}
	return len(r.Damage) == 0 && len(r.Notes) == 0
}

// Verify reads every byte of the spool in dir, writes nothing, and reports what
// is not as it was written. It may run beside the process that owns the spool;
// it then sees the log up to some recent moment, and may report its end as
// damaged.
func Verify(fs vfs.FS, dir string, keys *keyring.Keyring) (*Report, error) {
	return Inspect(fs, dir, keys, func(FrameInfo) error { return nil })
}

// Inspect is [Verify] that also shows each frame, in order. It ends with the
// first error of visit.
func Inspect(fs vfs.FS, dir string, keys *keyring.Keyring, visit func(FrameInfo) error) (*Report, error) {
	d := directory{fs: fs, path: dir, keys: keys}
	h, err := d.readHistory(true)
	if err != nil {
		return nil, err
	}
	in := inspector{dir: d, visit: visit, report: &Report{Node: keys.NodeID(), Segments: len(h.segments), Notes: h.notes}}
	for _, s := range h.snapshots {
		in.report.Snapshots = append(in.report.Snapshots, SnapshotInfo{Path: s.path, Through: s.through, Bytes: s.size, Err: s.err})
		in.report.Bytes += s.size
	}
	for i, seg := range h.segments {
		var follow *segment
		if i+1 < len(h.segments) {
			follow = h.segments[i+1]
		} else {
			in.ending, err = seg.readEnding(fs)
		}
		if err == nil {
			err = in.segment(seg, follow)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(h.segments) > 0 {
		in.report.First, in.report.Last = h.segments[0].first, in.ending.next-1
	}
	return in.report, nil
}

type inspector struct {
	dir    directory
	visit  func(FrameInfo) error
	report *Report
	ending ending // of the last segment
}

// segment inspects one segment; follow is the one after it, nil for the last.
func (in *inspector) segment(seg, follow *segment) error {
	file, err := in.dir.fs.Open(seg.path)
	if err != nil {
		return diskError(err, "open %s", seg.path)
	}
	defer file.Close()
	in.report.Bytes += seg.size
	if err := in.headers(seg, file); err != nil {
		return err
	}
	limit, end := in.ending.next, seg.size
	if follow != nil {
		limit = follow.first
	} else if in.ending.garbage > 0 {
		end = in.ending.garbage
		in.damage(Damage{Path: seg.path, From: end, To: seg.size, What: "the end of the log, not known as acknowledged"})
	}
	at, next, sc := int64(dataStart), seg.first, seg.scan(file)
	for {
		f, err := sc.next(end)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if f.off > at {
			in.damage(Damage{Path: seg.path, From: at, To: f.off, What: "frames", Lost: missing(next, max(next, min(f.first, limit)), f.digests)})
		}
		next = max(next, min(f.end(), limit))
		at = f.off + f.size()
		if err := in.frame(f, limit); err != nil {
			return err
		}
		if err := in.zeros(seg, file, f.off+frameHeader+int64(f.length), at); err != nil {
			return err
		}
	}
	return in.rest(seg, follow, file, [2]int64{at, end}, next)
}

// rest inspects what follows the last readable frame.
func (in *inspector) rest(seg, follow *segment, file io.ReaderAt, span [2]int64, next penstock.Position) error {
	if follow != nil && next < follow.first {
		other, err := in.dir.fs.Open(follow.path)
		if err != nil {
			return diskError(err, "open %s", follow.path)
		}
		defer other.Close()
		f, err := follow.scan(other).next(follow.size)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		in.damage(Damage{Path: seg.path, From: span[0], To: span[1], What: "frames", Lost: missing(next, follow.first, f.digests)})
		return nil
	}
	return in.zeros(seg, file, span[0], span[1])
}

func (in *inspector) damage(d Damage) { in.report.Damage = append(in.report.Damage, d) }

// headers checks both copies of a header and what lies between them.
func (in *inspector) headers(seg *segment, file io.ReaderAt) error {
	b := make([]byte, min(dataStart, seg.size))
	if n, err := file.ReadAt(b, 0); n < len(b) {
		return diskError(err, "read %s", seg.path)
	}
	want := seg.segmentHeader.encode()
	for _, off := range []int64{0, headerCopy} {
		if seg.size < off+headerSize || !bytes.Equal(b[off:off+headerSize], want) {
			in.damage(Damage{Path: seg.path, From: off, To: off + headerSize, What: "one of the two headers"})
		}
	}
	return in.zeros(seg, file, headerSize, headerCopy)
}

// zeros checks a part that holds nothing.
func (in *inspector) zeros(seg *segment, file io.ReaderAt, from, to int64) error {
	bad, err := firstNonZero(file, from, min(to, seg.size))
	if err == nil && bad > 0 {
		in.damage(Damage{Path: seg.path, From: max(bad, from), To: to, What: "bytes that hold nothing"})
	}
	return err
}

func (in *inspector) frame(f frame, limit penstock.Position) error {
	info := FrameInfo{
		Segment: f.segment, Offset: f.off, Size: f.size(), Number: f.number, Type: f.typ.String(), First: f.first,
		Entries: int(f.count), Acked: f.acked, Time: time.Unix(0, f.time).UTC(), Void: f.typ == batch && f.first >= limit,
	}
	if f.typ == opening {
		info.Origin = fmt.Sprintf("%v; after frame %d of segment %016x, position %d", f.origin.why, f.origin.frame, f.origin.previous, f.origin.through)
	}
	in.report.Frames++
	if !info.Void {
		in.report.Entries += int(f.count)
	}
	return in.visit(info)
}
