// Package keep says how much of the spool stays, though the system of record has
// settled it.
package keep

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock"
)

// Keeper remembers how long what the system of record has settled stays in the spool,
// to feed it again when it comes back without its last transactions. All but Keep is for
// one goroutine.
type Keeper struct {
	keep  atomic.Int64 // a time.Duration
	marks []mark
}

// mark says that up to a position everything was accepted before a time.
type mark struct {
	at       time.Time
	position penstock.Position
}

// maxMarks bounds the marks of a Keeper; beyond, every second one goes.
const maxMarks = 4096

// New returns a keeper of so much time.
func New(keep time.Duration) *Keeper {
	k := &Keeper{}
	k.Keep(keep)
	return k
}

// Keep changes the time.
func (k *Keeper) Keep(keep time.Duration) { k.keep.Store(int64(keep)) }

// Floor notes how long the log is now, and returns up to where it is old enough to go.
func (k *Keeper) Floor(now time.Time, durable penstock.Position) penstock.Position {
	keep := time.Duration(k.keep.Load())
	if keep <= 0 {
		return math.MaxUint64
	}
	k.marks = append(k.marks, mark{now, durable})
	if len(k.marks) > maxMarks {
		for i := range len(k.marks) / 2 {
			k.marks[i] = k.marks[2*i+1]
		}
		k.marks = k.marks[:len(k.marks)/2]
	}
	old := 0
	for i := range k.marks {
		if now.Sub(k.marks[i].at) >= keep {
			old = i
		}
	}
	if now.Sub(k.marks[old].at) < keep {
		return 0
	}
	k.marks = k.marks[old:]
	return k.marks[0].position
}
