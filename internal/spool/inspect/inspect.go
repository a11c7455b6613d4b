// Package inspect reads a spool offline, every byte of it, and tells what is not
// as it was written. It changes nothing.
package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/spool/disk"
	"github.com/penstock/penstock/internal/spool/inventory"
	"github.com/penstock/penstock/internal/spool/segment"
	"github.com/penstock/penstock/internal/spool/snapshot"
)

// Frame tells of one frame.
type Frame struct {
	segment.Head
	Offset int64           // in the file
	Void   bool            // its entries count no more: a later segment starts before them
	Origin string          // of an opening: why, and after what
	Kept   []segment.Entry // those that count, from First on
}

// At is when the frame was written.
func (f Frame) At() time.Time { return time.Unix(0, f.Time).UTC() }

// Damage is a part of a file that is not as it was written.
type Damage struct {
	Path     string
	From, To int64 // bytes of the file, To excluded
	What     string

	// Lost and End, when not equal, are the positions of the entries that cannot be
	// read for it, End excluded. Digests are those of them that the frame after
	// tells.
	Lost, End penstock.Position
	Digests   segment.Digests
}

// Report is what an inspection found.
type Report struct {
	First, Last penstock.Position // of the entries that count
	Segments    []*segment.Segment
	Snapshots   []snapshot.File
	Frames      int
	Entries     int // that count and can be read
	Bytes       int64
	Damage      []Damage
	Notes       []string // what else a person should know: missing segments, strange files
}

// Sound tells whether nothing is damaged, missing or strange.
func (r *Report) Sound() bool { return len(r.Damage) == 0 && len(r.Notes) == 0 }

// Verify reads every byte of the spool in dir and reports what is not as it was
// written. It may run beside the process that owns the spool; it then sees the
// log up to some recent moment, and may report its end as damaged.
func Verify(fs vfs.FS, dir string, keys *keyring.Keyring) (*Report, error) {
	return Inspect(fs, dir, keys, func(Frame) error { return nil })
}

// Inspect is [Verify] that also shows each frame, in order. It ends with the
// first error of visit.
func Inspect(fs vfs.FS, dir string, keys *keyring.Keyring, visit func(Frame) error) (*Report, error) {
	inv, err := inventory.Read(fs, dir, keys, true)
	if err != nil {
		return nil, err
	}
	in := inspector{fs: fs, visit: visit, report: &Report{Segments: inv.Segments, Snapshots: inv.Snapshots, Notes: inv.Notes}}
	for _, s := range inv.Snapshots {
		in.report.Bytes += s.Size
	}
	for i, seg := range inv.Segments {
		one := one{inspector: &in, Segment: seg, end: seg.Size}
		if i+1 < len(inv.Segments) {
			one.follow = inv.Segments[i+1]
			one.limit = one.follow.First
		} else if err := one.readEnding(); err != nil {
			return nil, err
		}
		if err := one.inspect(); err != nil {
			return nil, err
		}
	}
	return in.report, nil
}

type inspector struct {
	fs     vfs.FS
	visit  func(Frame) error
	report *Report
}

// one is the inspection of one segment.
type one struct {
	*inspector
	*segment.Segment
	follow *segment.Segment  // the one after it, nil for the last
	limit  penstock.Position // entries from here on do not count
	end    int64             // bytes in which frames are looked for

	file io.ReaderAt
	at   int64             // after the last frame seen
	next penstock.Position // after the last entry seen
}

// readEnding finds where the log ends.
func (o *one) readEnding() error {
	e, err := o.ReadEnding(o.fs)
	if err != nil {
		return err
	}
	o.limit = e.Next
	o.report.First, o.report.Last = o.report.Segments[0].First, e.Next-1
	if e.Garbage > 0 {
		o.end = e.Garbage
		o.damage(Damage{From: e.Garbage, To: o.Size, What: "the end of the log, not known as acknowledged"})
	}
	return nil
}

func (o *one) damage(d Damage) {
	d.Path = o.Path
	o.report.Damage = append(o.report.Damage, d)
}

func (o *one) inspect() error {
	file, err := o.fs.Open(o.Path)
	if err != nil {
		return disk.Error(err, "open %s", o.Path)
	}
	defer file.Close()
	o.file, o.at, o.next = file, segment.DataStart, o.First
	o.report.Bytes += o.Size
	if err := o.headers(); err != nil {
		return err
	}
	for sc := o.Scan(file); ; {
		f, err := sc.Next(o.end)
		if errors.Is(err, io.EOF) {
			return o.rest()
		}
		if err != nil {
			return err
		}
		if err := o.frame(f); err != nil {
			return err
		}
	}
}

// headers checks both copies of the header and what lies between them.
func (o *one) headers() error {
	b := make([]byte, min(segment.DataStart, o.Size))
	if n, err := o.file.ReadAt(b, 0); n < len(b) {
		return disk.Error(err, "read %s", o.Path)
	}
	want := o.Header.Encode()
	for _, off := range []int64{0, segment.HeaderCopy} {
		if end := off + segment.HeaderSize; o.Size < end || !bytes.Equal(b[off:end], want) {
			o.damage(Damage{From: off, To: end, What: "one of the two headers"})
		}
	}
	return o.zeros(segment.HeaderSize, segment.HeaderCopy)
}

// frame checks a frame and what should have stood before it.
func (o *one) frame(f segment.Frame) error {
	if f.Offset > o.at {
		o.damage(Damage{From: o.at, To: f.Offset, What: "frames", Lost: o.next, End: max(o.next, min(f.First, o.limit)), Digests: f.Digests})
	}
	o.next = max(o.next, min(f.End(), o.limit))
	o.at = f.Offset + f.Size()
	out := Frame{Head: f.Head, Offset: f.Offset, Void: f.Type == segment.Batch && f.First >= o.limit}
	if f.Type == segment.Opening {
		out.Origin = fmt.Sprintf("%v; after frame %d of segment %016x, position %d", f.Origin.Why, f.Origin.Frame, f.Origin.Previous, f.Origin.Through)
	}
	o.report.Frames++
	if !out.Void {
		o.report.Entries += int(f.Count)
		out.Kept = f.Entries[:min(len(f.Entries), int(o.limit-f.First))]
	}
	if err := o.visit(out); err != nil {
		return err
	}
	return o.zeros(f.Offset+segment.FrameHeaderSize+int64(f.Length), o.at)
}

// rest checks what follows the last frame.
func (o *one) rest() error {
	if o.follow == nil || o.next >= o.limit {
		return o.zeros(o.at, o.end)
	}
	d, err := o.follow.FirstDigests(o.fs)
	if err != nil {
		return err
	}
	o.damage(Damage{From: o.at, To: o.end, What: "frames", Lost: o.next, End: o.limit, Digests: d})
	return nil
}

// zeros checks a part that holds nothing.
func (o *one) zeros(from, to int64) error {
	bad, err := segment.FirstNonZero(o.file, from, min(to, o.Size))
	if err == nil && bad > 0 {
		o.damage(Damage{From: max(bad, from), To: to, What: "bytes that hold nothing"})
	}
	return err
}
