// Package inventory lists what stands in the directory of a spool and checks
// that nothing of the log is missing. It changes nothing.
package inventory

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/plant"
	"github.com/penstock/penstock/internal/spool/segment"
	"github.com/penstock/penstock/internal/spool/snapshot"
)

// The names in the spool's directory, beside those of numbered files.
const (
	Lock  = "LOCK"
	Aside = "aside" // directory of what could not be read at the end of the log
)

// Suffix is how the name of a numbered file ends.
type Suffix string

// The kinds of file.
const (
	Segment   Suffix = ".seg"
	Snapshot  Suffix = ".snap"
	Prepared  Suffix = ".zero" // zeros that are to be the next segment
	Temporary Suffix = ".tmp"  // being written
)

// Name returns the name of a numbered file.
func Name(n uint64, s Suffix) string { return fmt.Sprintf("%016x%s", n, s) }

// Number returns the number in the name of a file of a kind, and whether it is one.
func Number(name string, s Suffix) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, string(s))
	if !ok || len(digits) != 16 || digits != strings.ToLower(digits) {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 64)
	return n, err == nil && n > 0
}

// Inventory is what a spool's directory holds.
type Inventory struct {
	Segments  []*segment.Segment // in order; those that cannot be read are left out
	Snapshots []snapshot.File    // in order
	Leftover  []string           // names of what a crash cut off before it was part of the log
	Number    uint64             // greater than that of any segment
	Unread    int                // segments that cannot be read behind the last one that can
	Notes     []string           // what a person should know, a sentence each

	dir        string
	acceptLoss bool
}

// Read reads the directory. When a segment is missing or its header cannot be
// read, that is an error of code [penstock.Corrupt], or, with acceptLoss, a
// note. Other codes are those of [segment.Open].
func Read(fs vfs.FS, dir string, keys *keyring.Keyring, acceptLoss bool) (*Inventory, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, penstock.Errorf(penstock.Unavailable, "list the spool %s: %w", dir, err)
	}
	v := &Inventory{Number: 1, dir: dir, acceptLoss: acceptLoss}
	var segments, snapshots []uint64
	for _, name := range names {
		if n, ok := Number(name, Segment); ok {
			segments = append(segments, n)
		} else if n, ok := Number(name, Snapshot); ok {
			snapshots = append(snapshots, n)
		} else if strings.HasSuffix(name, string(Prepared)) || strings.HasSuffix(name, string(Temporary)) {
			v.Leftover = append(v.Leftover, name)
		} else if name != Lock && name != Aside {
			v.Notes = append(v.Notes, fmt.Sprintf("%s is not a file of the spool and was left alone", fs.PathJoin(dir, name)))
		}
	}
	slices.Sort(segments)
	slices.Sort(snapshots)
	for _, n := range segments {
		v.Number = n + 1
		if err := v.open(fs, keys, n); err != nil {
			return nil, err
		}
	}
	for _, n := range snapshots {
		f, err := snapshot.Look(fs, fs.PathJoin(dir, Name(n, Snapshot)), n, keys)
		if err != nil {
			return nil, err
		}
		v.Snapshots = append(v.Snapshots, f)
	}
	return v, v.check()
}

func (v *Inventory) open(fs vfs.FS, keys *keyring.Keyring, n uint64) error {
	path := fs.PathJoin(v.dir, Name(n, Segment))
	s, err := segment.Open(fs, keys, path, n)
	if err == nil {
		v.Segments, v.Unread = append(v.Segments, s), 0
		return nil
	}
	if penstock.CodeOf(err) != penstock.Corrupt {
		return err
	}
	if plant.DeleteUnreadable.On() {
		return fs.Remove(path)
	}
	v.Unread++
	return v.loss(err)
}

// loss refuses a log of which something is missing, or notes it.
func (v *Inventory) loss(err error) error {
	if v.acceptLoss {
		v.Notes = append(v.Notes, err.Error()+"; the loss was accepted")
		return nil
	}
	return penstock.Errorf(penstock.Corrupt, "%w. Nothing was changed. Put the file back from a copy, or let 'penstock spool repair' show what it takes to go on without what it held", err)
}

// check finds segments that are missing: each header names the segment that
// holds the position before its first.
func (v *Inventory) check() error {
	var covered penstock.Position
	for _, s := range v.Snapshots {
		if s.Err == nil {
			covered = max(covered, s.Through)
		} else {
			v.Notes = append(v.Notes, s.Err.Error())
		}
	}
	if len(v.Segments) == 0 {
		if len(v.Snapshots) == 0 {
			return nil
		}
		return v.loss(penstock.Errorf(penstock.Corrupt, "%s has a snapshot through position %d and no segment", v.dir, covered))
	}
	for i, s := range v.Segments {
		if i > 0 && s.First < v.Segments[i-1].First {
			return penstock.Errorf(penstock.Corrupt, "segment %016x starts at position %d, the one before at %d: files of two histories are mixed in %s; move the wrong ones away", s.Number, s.First, v.Segments[i-1].First, v.dir)
		}
	}
	// A log that began behind positions which it never held says so.
	if oldest := v.Segments[0]; oldest.First > covered+1 && oldest.Previous != 0 {
		if err := v.loss(penstock.Errorf(penstock.Corrupt, "positions %d to %d are missing in %s: no readable snapshot covers them, and the oldest segment is %016x", covered+1, oldest.First-1, v.dir, oldest.Number)); err != nil {
			return err
		}
	}
	return v.checkChain()
}

func (v *Inventory) checkChain() error {
	holds := map[uint64]bool{}
	for i, s := range v.Segments {
		holds[s.Number] = true
		if s.First == v.Segments[0].First || holds[s.Previous] {
			continue
		}
		if err := v.loss(penstock.Errorf(penstock.Corrupt, "segment %016x is missing or unreadable in %s: it holds positions between %d and %d", s.Previous, v.dir, v.Segments[i-1].First, s.First-1)); err != nil {
			return err
		}
	}
	return nil
}

// Known returns the greatest position that may have been given, by what readable
// snapshots know, and by what segments can have held that cannot be read. When
// the log ends before it, at last, its newest segments are missing: that is an
// error as for [Read].
func (v *Inventory) Known(last penstock.Position) (penstock.Position, error) {
	known := last
	for _, s := range v.Snapshots {
		if s.Err != nil || s.Through <= known {
			continue
		}
		err := v.loss(penstock.Errorf(penstock.Corrupt, "the log ends at position %d, and the snapshot %s stands at %d: the newest segments are missing", last, s.Path, s.Through))
		if err != nil {
			return 0, err
		}
		known = s.Through
	}
	// What a segment holds that cannot be read is not known, but it is bounded.
	return known + penstock.Position(v.Unread)*segment.MaxEntries, nil
}

// Holder returns the number of the segment that holds the position before next,
// 0 when none does.
func (v *Inventory) Holder(next penstock.Position) uint64 {
	for _, s := range slices.Backward(v.Segments) {
		if s.First < next {
			return s.Number
		}
	}
	return 0
}
