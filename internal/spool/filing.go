package spool

import (
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/spool/disk"
	"github.com/penstock/penstock/internal/spool/inventory"
	"github.com/penstock/penstock/internal/spool/snapshot"
)

// keptSnapshots is how many readable snapshots are kept: the newest may turn
// out unreadable.
const keptSnapshots = 2

// WriteSnapshot keeps data as the state that follows from all entries up to
// through, and returns when it is durable. Of the snapshots the last two are
// kept. Code [penstock.Full] when the disk is.
func (s *Spool) WriteSnapshot(through penstock.Position, data []byte) error {
	s.filing.Lock()
	defer s.filing.Unlock()
	if durable := s.Durable(); through > durable {
		return penstock.Errorf(penstock.Internal, "a snapshot through position %d, where %d is the last durable one", through, durable)
	}
	if len(data) > snapshot.MaxBytes {
		return penstock.Errorf(penstock.TooLarge, "a snapshot has at most %d bytes, this one has %d", snapshot.MaxBytes, len(data))
	}
	f := snapshot.File{Serial: 1, Through: through}
	if n := len(s.snapshots); n > 0 {
		f.Serial = s.snapshots[n-1].Serial + 1
	}
	o := s.core.opt
	f.Path = s.core.path(f.Serial, inventory.Snapshot)
	var err error
	if f.Size, err = snapshot.Write(o.FS, o.Keyring, f, data, o.Now()); err != nil {
		return err
	}
	s.core.addUsed(f.Size)
	s.snapshots = append(s.snapshots, f)
	return s.dropSnapshots()
}

// Snapshot returns the newest snapshot that can be read, and through which
// position it stands. Codes: [penstock.NotFound] when there is none;
// [penstock.Corrupt] when there are and none can be read.
func (s *Spool) Snapshot() (penstock.Position, []byte, error) {
	s.filing.Lock()
	defer s.filing.Unlock()
	o := s.core.opt
	err := penstock.Errorf(penstock.NotFound, "there is no snapshot in %s", o.Dir)
	for _, f := range slices.Backward(s.snapshots) {
		var data []byte
		if data, err = snapshot.Read(o.FS, f.Path, f.Serial, o.Keyring); err == nil {
			return f.Through, data, nil
		}
		o.Log.Error("a snapshot cannot be read: the one before is used", "err", err)
	}
	return 0, nil, err
}

// readable returns the index of the n-th last readable snapshot, or -1.
func (s *Spool) readable(n int) int {
	for i, f := range slices.Backward(s.snapshots) {
		if f.Err == nil {
			if n--; n == 0 {
				return i
			}
		}
	}
	return -1
}

// dropSnapshots removes what is older than the last two readable snapshots.
func (s *Spool) dropSnapshots() error {
	keep := max(0, s.readable(keptSnapshots))
	for range keep {
		if err := disk.Remove(s.core.opt.FS, s.snapshots[0].Path); err != nil {
			return err
		}
		s.core.addUsed(-s.snapshots[0].Size)
		s.snapshots = slices.Delete(s.snapshots, 0, 1)
	}
	return nil
}

// Release removes the segments whose entries are all at or below through, as
// far as both of the last two snapshots cover them. Oldest first, each removal
// durable before the next, so that a gap in the segments always means that one
// is missing.
func (s *Spool) Release(through penstock.Position) error {
	s.filing.Lock()
	defer s.filing.Unlock()
	i := s.readable(keptSnapshots)
	if i < 0 {
		return nil
	}
	through = min(through, s.snapshots[i].Through)
	fs := s.core.opt.FS
	for old := s.core.oldest(through); old != nil; old = s.core.oldest(through) {
		if err := disk.Remove(fs, old.Path); err != nil {
			return err
		}
		if err := disk.SyncDir(fs, s.core.opt.Dir); err != nil {
			return err
		}
		s.core.forget(old)
	}
	return nil
}

// Oldest returns the last position of the oldest segment, and false while that is the
// one that is written to: what has to be settled before the spool gives space back.
func (s *Spool) Oldest() (penstock.Position, bool) {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	segs := s.core.log.segments
	if len(segs) < 2 {
		return 0, false
	}
	return segs[1].First - 1, true
}

// BytesFrom returns about how many bytes of the disk the entries from a position on
// have: a segment that holds it is counted by the share of its entries.
func (s *Spool) BytesFrom(from penstock.Position) int64 {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	var bytes int64
	next := s.core.log.durable + 1
	for _, m := range slices.Backward(s.core.log.segments) {
		count := int64(next - m.First)
		if next = m.First; count <= 0 {
			continue
		}
		behind := min(count, int64(m.First)+count-int64(from))
		if behind <= 0 {
			break
		}
		bytes += int64(float64(m.end) * float64(behind) / float64(count))
	}
	return bytes
}
