// Package repair mends a spool that a gateway refuses to start on. It works offline,
// says first what it will do, moves what it cannot read beside and deletes nothing. What
// is lost stays named: an empty segment stands for it, so that its positions are
// delivered as damaged, and their reports asked for again.
package repair

import (
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/spool/disk"
	"github.com/penstock/penstock/internal/spool/inventory"
	"github.com/penstock/penstock/internal/spool/segment"
	"github.com/penstock/penstock/internal/spool/snapshot"
)

// Options are what a repair needs; all must be given.
type Options struct {
	FS      vfs.FS
	Dir     string // of the spool
	Beside  string // directory for what is moved out of it, on the same file system; made when needed
	Keyring *keyring.Keyring
	Now     func() time.Time
}

// Range is a range of positions.
type Range struct{ First, Last penstock.Position }

// Plan is what a repair will do. Nothing is changed before [Plan.Do].
type Plan struct {
	Steps []string // in words, in order
	Lost  []Range  // positions that are delivered as damaged

	o      Options
	fs     *Forgiving
	copies []string // files of which the readable part takes their place
	moves  []string // files that are moved beside
	stands []segment.Header
	tail   string // segment whose end must be durable before anything follows it
}

// Look finds out what has to be done so that a gateway starts on the spool. Errors are
// what no repair can mend, and say what to do: [penstock.Unsupported] for a newer
// format, [penstock.NotFound] for a missing key, [penstock.Corrupt] for files of two
// histories, and for a log whose state no snapshot tells any more.
func Look(o Options) (*Plan, error) {
	p := &Plan{o: o, fs: NewForgiving(o.FS)}
	names, err := o.FS.List(o.Dir)
	if err != nil {
		return nil, disk.Error(err, "list the spool %s", o.Dir)
	}
	slices.Sort(names)
	l := &log{plan: p}
	for _, name := range names {
		if err := l.add(name); err != nil {
			return nil, err
		}
	}
	if err := l.dropCopies(); err != nil {
		return nil, err
	}
	if err := l.checkSnapshots(); err != nil {
		return nil, err
	}
	return p, l.join()
}

// log is what is readable of a log.
type log struct {
	plan      *Plan
	segments  []*segment.Segment
	snapshots []snapshot.File
	unread    []unread
	number    uint64 // greater than that of any segment
}

// unread is a segment that cannot be read.
type unread struct {
	name   string
	number uint64
	why    error
	copy   bool // of a segment that is there
}

func (l *log) add(name string) error {
	p, path := l.plan, l.plan.o.FS.PathJoin(l.plan.o.Dir, name)
	if n, ok := inventory.Number(name, inventory.Snapshot); ok {
		f, err := snapshot.Look(p.fs, path, n, p.o.Keyring)
		if err != nil {
			return err
		}
		l.snapshots = append(l.snapshots, f)
		return nil
	}
	n, ok := inventory.Number(name, inventory.Segment)
	if !ok {
		return nil
	}
	l.number = max(l.number, n)
	if err := p.readThrough(path); err != nil {
		return err
	}
	if bad := p.fs.Bad(path); bad > 0 {
		p.copies = append(p.copies, name)
		p.say("%s: %d bytes cannot be read from the disk: a copy with zeros in their place takes its name, the original is moved to %s", name, bad, p.o.Beside)
	}
	s, err := segment.Open(p.fs, p.o.Keyring, path, n)
	switch {
	case err == nil:
		l.segments = append(l.segments, s)
	case penstock.CodeOf(err) == penstock.Corrupt:
		l.unread = append(l.unread, unread{name: name, number: n, why: err})
	default:
		return err
	}
	return nil
}

// readThrough reads a file, to see what of it the disk cannot read.
func (p *Plan) readThrough(path string) error {
	f, err := p.fs.Open(path)
	if err != nil {
		return disk.Error(err, "open %s", path)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return disk.Error(err, "look at %s", path)
	}
	b := make([]byte, 1<<20)
	for at := int64(0); at < info.Size(); at += int64(len(b)) {
		if n, err := f.ReadAt(b[:min(int64(len(b)), info.Size()-at)], at); err != nil && n == 0 {
			return disk.Error(err, "read %s", path)
		}
	}
	return nil
}

func (p *Plan) say(format string, args ...any) {
	p.Steps = append(p.Steps, fmt.Sprintf(format, args...))
}

// dropCopies moves the segments that cannot be read, and refuses two histories.
func (l *log) dropCopies() error {
	for i := range l.unread {
		u := &l.unread[i]
		u.copy = l.isCopy(u.name)
		l.plan.moves = append(l.plan.moves, u.name)
		l.plan.say("%s cannot be read and is moved to %s: %v", u.name, l.plan.o.Beside, u.why)
	}
	for i, s := range l.segments {
		if i > 0 && s.First < l.segments[i-1].First {
			return penstock.Errorf(penstock.Corrupt, "segment %016x starts at position %d, the one before at %d: files of two histories are mixed in %s, and only a person can tell which are wrong: move those away", s.Number, s.First, l.segments[i-1].First, l.plan.o.Dir)
		}
	}
	return nil
}

// isCopy tells whether a file is a segment under another name, which stands in the log
// under its own.
func (l *log) isCopy(name string) bool {
	_, b, err := disk.Prefix(l.plan.fs, l.plan.o.FS.PathJoin(l.plan.o.Dir, name), segment.HeaderSize)
	if err != nil {
		return false
	}
	h, err := segment.DecodeHeader(b)
	return err == nil && slices.ContainsFunc(l.segments, func(s *segment.Segment) bool { return s.Header == h })
}

// covered returns the greatest position that a readable snapshot covers.
func (l *log) covered() (through penstock.Position) {
	for _, s := range l.snapshots {
		if s.Err == nil {
			through = max(through, s.Through)
		}
	}
	return through
}

// checkSnapshots moves snapshots away of which none can be read, where the whole log
// is there to make another.
func (l *log) checkSnapshots() error {
	if len(l.snapshots) == 0 || slices.ContainsFunc(l.snapshots, func(s snapshot.File) bool { return s.Err == nil }) {
		return nil
	}
	if len(l.segments) == 0 || l.segments[0].First > 1 {
		return penstock.Errorf(penstock.Corrupt, "no snapshot can be read, and the log no longer begins at its start: the books are lost with them. Restore a backup, and send again what 'penstock spool export' finds here: %w", l.snapshots[len(l.snapshots)-1].Err)
	}
	for _, s := range l.snapshots {
		name := l.plan.o.FS.PathBase(s.Path)
		l.plan.moves = append(l.plan.moves, name)
		l.plan.say("%s cannot be read and is moved to %s: the log is whole from its start, and tells all of it again", name, l.plan.o.Beside)
	}
	return nil
}

// join puts empty segments where the log has gaps.
func (l *log) join() error {
	if len(l.segments) == 0 {
		if l.covered() > 0 || len(l.unread) > 0 {
			l.end(1, 0)
		}
		return nil
	}
	oldest := l.segments[0]
	if covered := l.covered(); oldest.First > covered+1 && oldest.Previous != 0 {
		l.stand(segment.Header{Number: oldest.Previous, First: covered + 1}, oldest.First)
	}
	holds := map[uint64]bool{}
	for i, s := range l.segments {
		holds[s.Number] = true
		if s.First == oldest.First || holds[s.Previous] {
			continue
		}
		before := l.segments[i-1]
		next, err := l.plan.next(before, s.First)
		if err != nil {
			return err
		}
		l.stand(segment.Header{Number: s.Previous, First: next, Previous: holder(before, next)}, s.First)
		holds[s.Previous] = true
	}
	last := l.segments[len(l.segments)-1]
	e, err := last.ReadEnding(l.plan.fs)
	if err != nil {
		return err
	}
	l.plan.tail = last.Path
	l.end(e.Next, holder(last, e.Next))
	return nil
}

// holder returns the segment that holds the position before next, which is s or one
// before it.
func holder(s *segment.Segment, next penstock.Position) uint64 {
	if s.First < next {
		return s.Number
	}
	return s.Previous
}

// next returns the position after the last readable entry of a segment.
func (p *Plan) next(s *segment.Segment, limit penstock.Position) (penstock.Position, error) {
	f, err := p.fs.Open(s.Path)
	if err != nil {
		return 0, disk.Error(err, "open %s", s.Path)
	}
	defer f.Close()
	next := s.First
	for sc := s.Scan(f); ; {
		frame, err := sc.Next(s.Size)
		if isEnd(err) {
			return min(next, limit), nil
		}
		if err != nil {
			return 0, err
		}
		next = max(next, frame.End())
	}
}

// stand plans an empty segment for the positions up to end.
func (l *log) stand(h segment.Header, end penstock.Position) {
	if h.First >= end {
		h.First = end // no position is missing, only the file that named its neighbour
	} else {
		l.plan.Lost = append(l.plan.Lost, Range{h.First, end - 1})
	}
	l.plan.stands = append(l.plan.stands, h)
	l.plan.say("an empty segment %016x takes the place of what is missing from position %d to %d: it is delivered as damaged, and asked for again where it is known", h.Number, h.First, end-1)
}

// end plans what stands for the lost end of a log of which next is the position after
// the last readable one.
func (l *log) end(next penstock.Position, holder uint64) {
	known := next - 1
	known = max(known, l.covered())
	for _, u := range l.unread {
		if u.copy {
			continue
		}
		if len(l.segments) == 0 || u.number > l.segments[len(l.segments)-1].Number {
			known += segment.MaxEntries // what it holds is not known, but it is bounded
		}
	}
	if known < next {
		l.plan.tail = ""
		return
	}
	number := l.number + 1
	l.stand(segment.Header{Number: number, First: next, Previous: holder}, known+1)
	l.plan.stands = append(l.plan.stands, segment.Header{Number: number + 1, First: known + 1, Previous: number})
	l.plan.say("the log goes on at position %d, behind all that was given before", known+1)
}
