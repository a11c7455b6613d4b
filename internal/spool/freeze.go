package spool

import (
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/spool/disk"
	"github.com/penstock/penstock/internal/spool/inventory"
)

// Frozen is the log as it was at a moment, as files that stay although the log goes
// on.
type Frozen struct {
	First, Durable penstock.Position
	Files          []FrozenFile
}

// FrozenFile is a file of a frozen log.
type FrozenFile struct {
	Name string // below the directory, with slashes
	Size int64  // bytes from its start that count; a segment that is written to may have more
}

// Freeze gives the files of the log a second name in dir, which must be on the same
// file system and is made. Before that it calls before, while nothing of the log is
// released: what before copies elsewhere is never behind the first position that is
// frozen. Entries are taken meanwhile.
func (s *Spool) Freeze(dir string, before func() error) (Frozen, error) {
	s.filing.Lock()
	defer s.filing.Unlock()
	if err := before(); err != nil {
		return Frozen{}, err
	}
	o := s.core.opt
	if err := o.FS.MkdirAll(o.FS.PathJoin(dir, inventory.Aside), 0o700); err != nil {
		return Frozen{}, disk.Error(err, "make %s", dir)
	}
	var f Frozen
	for _, m := range s.now(&f) {
		if err := s.link(dir, m.Path, inventory.Name(m.Number, inventory.Segment)); err != nil {
			return f, err
		}
		f.Files = append(f.Files, FrozenFile{inventory.Name(m.Number, inventory.Segment), m.end})
	}
	var others []string
	for _, snap := range s.snapshots {
		others = append(others, inventory.Name(snap.Serial, inventory.Snapshot))
	}
	aside, err := o.FS.List(o.FS.PathJoin(o.Dir, inventory.Aside))
	if err != nil {
		return f, disk.Error(err, "list the copies aside in %s", o.Dir)
	}
	for _, name := range aside {
		others = append(others, o.FS.PathJoin(inventory.Aside, name))
	}
	for _, name := range others {
		if err := s.link(dir, o.FS.PathJoin(o.Dir, name), name); err != nil {
			return f, err
		}
		info, err := o.FS.Stat(o.FS.PathJoin(dir, name))
		if err != nil {
			return f, disk.Error(err, "look at %s", name)
		}
		f.Files = append(f.Files, FrozenFile{name, info.Size()})
	}
	return f, nil
}

// now returns the segments as they are now, and notes the positions.
func (s *Spool) now(f *Frozen) []member {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	var segments []member
	for i, m := range s.core.log.segments {
		segments = append(segments, member{m.Segment, m.end})
		if i < len(s.core.log.segments)-1 {
			segments[i].end = m.Size
		}
	}
	f.First, f.Durable = segments[0].First, s.core.log.durable
	return segments
}

func (s *Spool) link(dir, path, name string) error {
	fs := s.core.opt.FS
	if err := fs.Link(path, fs.PathJoin(dir, name)); err != nil {
		return disk.Error(err, "give %s a second name in %s", path, dir)
	}
	return nil
}
