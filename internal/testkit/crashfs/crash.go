package crashfs

import (
	"math/rand/v2"
	"slices"
)

// Keep says how much of what was not synced a power cut leaves.
type Keep uint8

// The amounts.
const (
	None   Keep = iota // nothing
	Half               // the first half of the operations, the one in the middle torn
	All                // everything
	Seeded             // any part, drawn by the seed
)

// Choice is one of the states that a power cut may leave.
type Choice struct {
	Keep Keep
	Tear int    // writes tear at multiples of so many bytes: 1, 512, 4096; 0 is 512
	Seed uint64 // for Seeded
}

func (c Choice) tear() int64 {
	if c.Tear == 0 {
		return 512
	}
	return int64(c.Tear)
}

// crash returns the disk as a power cut leaves it. What nothing names any more
// is left out, so that its bytes cost nothing.
func (d *disk) crash(c Choice) *disk {
	rng := rand.New(rand.NewPCG(c.Seed, uint64(c.Keep)))
	after := &disk{}
	made := map[int]*inode{}
	var visit func(n *inode) *inode
	visit = func(n *inode) *inode {
		if m, ok := made[n.id]; ok {
			return m
		}
		m := after.add(n.isDir())
		made[n.id] = m
		if !n.isDir() {
			m.data, m.path = n.crashed(c, rng), n.path
			return m
		}
		m.path = n.path
		names := n.crashedEntries(c, rng)
		for _, name := range sortedNames(names) {
			child := visit(names[name])
			m.entries[name], m.durable[name] = child, child
		}
		return m
	}
	visit(d.inodes[0])
	return after
}

// crashed returns the bytes of a file after a power cut.
func (n *inode) crashed(c Choice, rng *rand.Rand) []byte {
	b := slices.Clone(n.data)
	for _, w := range slices.Backward(n.writes) {
		b = b[:w.oldSize]
		copy(b[min(w.off, w.oldSize):], w.old)
	}
	for i, w := range n.writes {
		switch {
		case w.state == synced || c.Keep == All:
			b = put(b, w.off, w.data)
		case c.Keep == Half && i < len(n.writes)/2:
			b = put(b, w.off, w.data)
		case c.Keep == Half && i == len(n.writes)/2:
			half := int64(len(w.data) / 2)
			b = put(b, w.off, w.data[:half-half%c.tear()])
		case c.Keep == Seeded:
			b = tear(b, w, c.tear(), rng)
		}
	}
	return b
}

// tear keeps a part of a write: for tears at a byte, a prefix; for tears at
// sectors, any of them.
func tear(b []byte, w write, unit int64, rng *rand.Rand) []byte {
	if unit == 1 {
		return put(b, w.off, w.data[:rng.IntN(len(w.data)+1)])
	}
	for at := w.off; at < w.off+int64(len(w.data)); {
		end := min(at-at%unit+unit, w.off+int64(len(w.data)))
		if rng.IntN(2) == 0 {
			b = put(b, at, w.data[at-w.off:end-w.off])
		}
		at = end
	}
	return b
}

func put(b []byte, off int64, data []byte) []byte {
	if len(data) == 0 {
		return b
	}
	if end := off + int64(len(data)); end > int64(len(b)) {
		grown := make([]byte, end)
		copy(grown, b)
		b = grown
	}
	copy(b[off:], data)
	return b
}

// crashedEntries returns the names in a directory after a power cut.
func (n *inode) crashedEntries(c Choice, rng *rand.Rand) map[string]*inode {
	entries := make(map[string]*inode, len(n.entries))
	for name, child := range n.durable {
		entries[name] = child
	}
	for i, ch := range n.changes {
		switch c.Keep {
		case None:
		case Half:
			if i < (len(n.changes)+1)/2 {
				apply(entries, ch)
			}
		case All:
			apply(entries, ch)
		case Seeded:
			if rng.IntN(2) == 0 {
				apply(entries, ch)
			}
		}
	}
	return entries
}

func sortedNames(m map[string]*inode) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
