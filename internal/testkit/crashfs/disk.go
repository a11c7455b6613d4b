package crashfs

import (
	"maps"
	"slices"
)

// An inode is a file or a directory. A file keeps its writes since it was last
// clean with the bytes they replaced, so that a crash can take them back.
type inode struct {
	id     int
	path   string // its last name
	data   []byte // what the process sees
	writes []write

	entries map[string]*inode // directories only: what the process sees
	durable map[string]*inode // what a crash keeps for certain
	changes []change          // from durable to entries, in order
}

type write struct {
	off     int64
	data    []byte
	old     []byte // the bytes it replaced, as far as the file went
	oldSize int64
	state   state
}

type state uint8

const (
	dirty  state = iota // not synced
	lost                // a sync failed on it: no later sync covers it
	synced              // durable, but over a write that is lost
)

// change is an unsynced operation on a directory: some names go, at most one comes.
type change struct {
	gone string
	name string
	node *inode
}

func (n *inode) isDir() bool { return n.entries != nil }

func (n *inode) write(off int64, data []byte) {
	size := int64(len(n.data))
	end := off + int64(len(data))
	w := write{off: off, data: data, oldSize: size}
	if off < size {
		w.old = slices.Clone(n.data[off:min(end, size)])
	}
	if end > size {
		n.data = append(n.data, make([]byte, end-size)...)
	}
	copy(n.data[off:], data)
	n.writes = append(n.writes, w)
}

// sync makes durable what is dirty. What an earlier failed sync lost stays lost.
func (n *inode) sync() {
	if n.isDir() {
		n.durable, n.changes = maps.Clone(n.entries), nil
		return
	}
	if !slices.ContainsFunc(n.writes, func(w write) bool { return w.state == lost }) {
		n.writes = nil
		return
	}
	n.settle(synced)
}

// settle gives the dirty writes another state.
func (n *inode) settle(s state) {
	for i := range n.writes {
		if n.writes[i].state == dirty {
			n.writes[i].state = s
		}
	}
}

// unsynced tells whether a crash may take something of the file away.
func (n *inode) unsynced() bool {
	return slices.ContainsFunc(n.writes, func(w write) bool { return w.state != synced })
}

func (n *inode) change(c change) {
	apply(n.entries, c)
	n.changes = append(n.changes, c)
}

func apply(entries map[string]*inode, c change) {
	if c.gone != "" {
		delete(entries, c.gone)
	}
	if c.name != "" {
		entries[c.name] = c.node
	}
}

// disk is all inodes, by number; 0 is the root directory.
type disk struct{ inodes []*inode }

func newDisk() *disk {
	d := &disk{}
	d.add(true)
	return d
}

func (d *disk) add(dir bool) *inode {
	n := &inode{id: len(d.inodes)}
	if dir {
		n.entries, n.durable = map[string]*inode{}, map[string]*inode{}
	}
	d.inodes = append(d.inodes, n)
	return n
}

// clone copies the disk with all that is not synced yet, as a killed process
// leaves it.
func (d *disk) clone() *disk {
	c := &disk{inodes: make([]*inode, len(d.inodes))}
	for i, n := range d.inodes {
		c.inodes[i] = &inode{id: i, path: n.path, data: slices.Clone(n.data), writes: slices.Clone(n.writes)}
	}
	at := func(m map[string]*inode) map[string]*inode {
		if m == nil {
			return nil
		}
		out := make(map[string]*inode, len(m))
		for name, n := range m {
			out[name] = c.inodes[n.id]
		}
		return out
	}
	for i, n := range d.inodes {
		c.inodes[i].entries, c.inodes[i].durable = at(n.entries), at(n.durable)
		for _, ch := range n.changes {
			if ch.node != nil {
				ch.node = c.inodes[ch.node.id]
			}
			c.inodes[i].changes = append(c.inodes[i].changes, ch)
		}
	}
	return c
}

// used returns the bytes of all files that have a name.
func (d *disk) used() (sum int64) {
	seen := map[int]bool{}
	for _, dir := range d.inodes {
		for _, n := range dir.entries {
			if !seen[n.id] {
				seen[n.id] = true
				sum += int64(len(n.data))
			}
		}
	}
	return sum
}
