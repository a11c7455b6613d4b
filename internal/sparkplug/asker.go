package sparkplug

import "time"

// How often edge nodes are asked for their births.
const (
	askEvery  = time.Minute // the same one
	askSecond = 20          // all of them together in a second
)

// asker says which edge nodes are to be asked for their births, and when: after a
// restart of the gateway it is all of them, and their answers come at once.
type asker struct {
	nodes  []*node   // in order
	second time.Time // of the last commands
	asked  int       // in that second
}

func (a *asker) add(n *node) {
	n.wants = true
	a.nodes = append(a.nodes, n)
}

// due returns the edge nodes that are to be asked now.
func (a *asker) due(now time.Time) []*node {
	if now.Sub(a.second) >= time.Second {
		a.second, a.asked = now, 0
	}
	var due []*node
	kept := a.nodes[:0]
	for _, n := range a.nodes {
		switch {
		case !n.wants: // the birth came by itself
		case a.asked >= askSecond || now.Before(n.ask):
			kept = append(kept, n)
		default:
			a.asked++
			n.wants, n.ask = false, now.Add(askEvery)
			due = append(due, n)
		}
	}
	clear(a.nodes[len(kept):])
	a.nodes = kept
	return due
}

// wake returns when somebody may be due, and false when nobody waits.
func (a *asker) wake() (earliest time.Time, ok bool) {
	for _, n := range a.nodes {
		at := n.ask
		if next := a.second.Add(time.Second); at.Before(next) {
			at = next
		}
		if !ok || at.Before(earliest) {
			earliest, ok = at, true
		}
	}
	return earliest, ok
}
