package crashfs

import "fmt"

// Kind is the kind of an operation.
type Kind uint8

// The kinds. Those from Create to Sync change the disk, or what a crash leaves
// of it, and stand in the journal.
const (
	Any Kind = iota // in a Fault: every kind
	Create
	Mkdir
	Link
	Remove
	Rename
	Write
	Sync
	Mark // what a test noted
	Open
	Read
	Stat
	List
)

var kindNames = [...]string{"any", "create", "mkdir", "link", "remove", "rename", "write", "sync", "mark", "open", "read", "stat", "list"}

// String returns the kind's name.
func (k Kind) String() string { return kindNames[k] }

// op is one line of the journal. Inodes are named by number, which are the same
// at each replay.
type op struct {
	kind   Kind
	path   string
	node   int // Write, Sync: the file; Create: the new inode's directory; …
	dir    int // Link, Rename, Remove: the directory of the new or removed name
	name   string
	oldDir int // Rename: the directory of the old name
	old    string
	off    int64
	data   []byte
	failed bool // a Sync that reported an error
	mark   any
}

func (o op) String() string {
	s := o.kind.String() + " " + o.path
	switch {
	case o.kind == Write:
		s += fmt.Sprintf(" %d+%d", o.off, len(o.data))
	case o.kind == Mark:
		s = fmt.Sprintf("mark %v", o.mark)
	case o.failed:
		s += " (failed)"
	}
	return s
}

// do carries an operation out; it is what both the living file system and the
// replay of its journal go through.
func (d *disk) do(o op) {
	switch o.kind {
	case Create:
		n := d.add(false)
		n.path = o.path
		d.inodes[o.dir].change(change{name: o.name, node: n})
	case Mkdir:
		n := d.add(true)
		n.path = o.path
		d.inodes[o.dir].change(change{name: o.name, node: n})
	case Link:
		d.inodes[o.dir].change(change{name: o.name, node: d.inodes[o.node]})
	case Remove:
		d.inodes[o.dir].change(change{gone: o.name})
	case Rename:
		n := d.inodes[o.node]
		n.path = o.path
		if o.dir == o.oldDir {
			d.inodes[o.dir].change(change{gone: o.old, name: o.name, node: n})
			return
		}
		d.inodes[o.oldDir].change(change{gone: o.old})
		d.inodes[o.dir].change(change{name: o.name, node: n})
	case Write:
		d.inodes[o.node].write(o.off, o.data)
	case Sync:
		if o.failed {
			d.inodes[o.node].settle(lost)
			return
		}
		d.inodes[o.node].sync()
	}
}

// Point is the moment after some operation of the journal.
type Point struct {
	Op    int    // operations done
	Last  string // the last of them, for messages
	Marks []any  // what was noted until then

	disk *disk
}

// Crash returns what a power cut at this moment leaves. The result keeps no
// journal of its own.
func (p *Point) Crash(c Choice) *FS { return newFS(p.disk.crash(c), false) }

// CrashRecorded is Crash with a journal, for a second crash.
func (p *Point) CrashRecorded(c Choice) *FS { return newFS(p.disk.crash(c), true) }

// Kill returns what a killed process leaves: all it wrote, synced or not. It
// keeps a journal.
func (p *Point) Kill() *FS { return newFS(p.disk.clone(), true) }

// Sweep calls visit for the moments before the first operation of the journal
// from number from on and after each, until visit returns false.
func (fs *FS) Sweep(from int, visit func(p *Point) bool) {
	fs.mu.Lock()
	journal := fs.journal[:len(fs.journal):len(fs.journal)]
	start := fs.start
	fs.mu.Unlock()
	if start == nil {
		panic("crashfs: this file system keeps no journal")
	}
	p := &Point{disk: start.clone()}
	for i := 0; ; i++ {
		p.Op = i
		if i >= from && !visit(p) {
			return
		}
		if i == len(journal) {
			return
		}
		p.disk.do(journal[i])
		p.Last = journal[i].String()
		if journal[i].kind == Mark {
			p.Marks = append(p.Marks, journal[i].mark)
		}
	}
}

// Now returns the present moment.
func (fs *FS) Now() *Point {
	var last *Point
	fs.Sweep(fs.Ops(), func(p *Point) bool { last = p; return true })
	return last
}

// Ops returns how many operations the journal has.
func (fs *FS) Ops() int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return len(fs.journal)
}

// Mark notes v in the journal, between the operations around it.
func (fs *FS) Mark(v any) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.do(op{kind: Mark, mark: v})
}

// Unsafe checks each mark that acks accepts, as the answer to a sender: the
// file of those match accepts that was written last before it must have been
// synced without error after its last write, and so must the entry that names
// it. It returns a line for each that was not.
func (fs *FS) Unsafe(match func(path string) bool, acks func(mark any) bool) []string {
	var found []string
	var lastFile, lastPath = -1, ""
	fs.mu.Lock()
	journal := fs.journal[:len(fs.journal):len(fs.journal)]
	fs.mu.Unlock()
	fs.Sweep(0, func(p *Point) bool {
		if p.Op == 0 {
			return true
		}
		switch o := journal[p.Op-1]; o.kind {
		case Write:
			if match(o.path) {
				lastFile, lastPath = o.node, o.path
			}
		case Mark:
			if !acks(o.mark) || lastFile < 0 {
				return true
			}
			if p.disk.inodes[lastFile].unsynced() {
				found = append(found, fmt.Sprintf("operation %d: %v before the sync of %s", p.Op, o, lastPath))
			}
			if !p.disk.named(lastFile) {
				found = append(found, fmt.Sprintf("operation %d: %v before the sync of the directory that names %s", p.Op, o, lastPath))
			}
		}
		return true
	})
	return found
}

// named tells whether a file will have a name after any crash.
func (d *disk) named(file int) bool {
	var visit func(n *inode) bool
	visit = func(n *inode) bool {
		for _, child := range n.durable {
			if child.id == file || child.isDir() && visit(child) {
				return true
			}
		}
		return false
	}
	return visit(d.inodes[0])
}
