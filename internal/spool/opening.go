package spool

import (
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/plant"
	"github.com/penstock/penstock/internal/spool/disk"
	"github.com/penstock/penstock/internal/spool/inventory"
	"github.com/penstock/penstock/internal/spool/segment"
)

// openSegment makes the prepared file the active segment: its header, its
// opening and, after a crash, the tail of the log before are synced before it
// gets its name, so that it is there as a whole or not at all. From then on all
// that earlier segments hold from its first position on is void.
func (w *writer) openSegment(p *prepared, tail []segment.Frame) error {
	stream, err := segment.NewStream(w.opt.Keyring)
	if err != nil {
		return err
	}
	header := segment.Header{
		Node: w.opt.Keyring.NodeID(), Number: w.number, First: w.next, Previous: w.holder,
		Created: w.opt.Now().UnixNano(), Stream: [keyring.HeaderSize]byte(stream.Header()),
	}
	w.number++
	raw := header.Encode()
	seg := &segment.Segment{Header: header, Path: w.path(header.Number, inventory.Segment), Cipher: segment.NewCipher(stream, raw), Size: p.size}
	b := make([]byte, segment.DataStart)
	copy(b, raw)
	copy(b[segment.HeaderCopy:], raw)
	h := segment.Head{Type: segment.Opening, Number: 1, First: header.First, Time: header.Created, Segment: header.Number}
	b = seg.Cipher.AppendOpening(b, h, w.before, w.last)
	next, holder, before := w.next, w.holder, w.before
	for _, f := range tail {
		h = segment.Head{Type: segment.Batch, Number: h.Number + 1, First: f.First, Count: f.Count, Time: f.Time, Segment: header.Number}
		b = seg.Cipher.AppendBatch(b, h, before, f.Entries)
		next, holder, before = f.End(), header.Number, segment.EncodeDigests(f.First, f.Entries)
	}
	if err := w.name(p, seg.Path, b); err != nil {
		return err
	}
	w.next, w.holder, w.before = next, holder, before
	w.active = &active{Segment: seg, file: p.file, off: int64(len(b)), frame: h.Number, unmarked: len(tail) > 0}
	w.add(seg, w.active.off, next-1)
	return nil
}

// name writes the start of a segment, syncs it and gives it its name. When the
// name may not be durable the segment is given up: nothing was acknowledged
// from it, and if a crash keeps it, the one opened next starts where it does.
func (w *writer) name(p *prepared, path string, start []byte) error {
	at := p.path
	err := writeStart(p.file, start)
	if err == nil {
		if err = w.opt.FS.Rename(at, path); err == nil {
			at = path
			if !plant.NoDirectoryFsync.On() {
				err = disk.SyncDir(w.opt.FS, w.opt.Dir)
			}
		}
	}
	if err == nil {
		return nil
	}
	closeFile(w.opt.Log, p.file, at)
	w.addUsed(-p.size)
	if rerr := disk.Remove(w.opt.FS, at); rerr != nil {
		w.opt.Log.Warn("a segment that failed at its opening could not be removed: the next start will", "err", rerr)
	}
	return disk.Error(err, "open segment %s", path)
}

func writeStart(f vfs.File, start []byte) error {
	if _, err := f.WriteAt(start, 0); err != nil {
		return err
	}
	return f.Sync()
}

// skip lets the next entry have a position behind past: those up to it were
// given before.
func (w *writer) skip(past penstock.Position) {
	if past >= w.next {
		w.next, w.holder = past+1, w.active.Number
		w.publish(w.active.off, past)
	}
}
