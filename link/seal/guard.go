package seal

// guardWindow is how many counters below the highest a guard remembers.
const guardWindow = 256

// guard remembers which counters of one boot came.
type guard struct {
	boot uint64
	next uint32 // one above the highest that came; 0 when none did
	bits [guardWindow / 64]uint64
}

// seen tells whether the counter came before, or is too old to tell.
func (g *guard) seen(counter uint32) bool {
	if counter >= g.next {
		return false
	}
	if g.next-counter > guardWindow {
		return true
	}
	word, bit := place(counter)
	return g.bits[word]&bit != 0
}

// note remembers a counter that was not seen.
func (g *guard) note(counter uint32) {
	if counter >= g.next {
		// The places between were those of counters that are too old now.
		if counter-g.next >= guardWindow {
			clear(g.bits[:])
		} else {
			for c := g.next; c < counter; c++ {
				word, bit := place(c)
				g.bits[word] &^= bit
			}
		}
		g.next = counter + 1
	}
	word, bit := place(counter)
	g.bits[word] |= bit
}

// place returns where a counter stands in the ring of bits.
func place(counter uint32) (word int, bit uint64) {
	slot := counter % guardWindow
	return int(slot / 64), 1 << (slot % 64)
}
