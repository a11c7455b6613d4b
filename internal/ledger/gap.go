package ledger

import (
	"maps"
	"slices"

	"github.com/penstock/penstock/internal/interval"
)

// Gap is a range of sequence numbers that have not come, before newer ones that have.
type Gap struct {
	Controller         string
	Epoch, First, Last uint64
}

// Gaps yields the gaps of a controller, in order.
func (l *Ledger) Gaps(controller string, yield func(Gap) bool) {
	a := l.accounts[controller]
	if a == nil {
		return
	}
	for _, number := range slices.Sorted(maps.Keys(a.epochs)) {
		for span := range a.epochs[number].missing().All {
			if !yield(Gap{controller, number, span.First, span.Last}) {
				return
			}
		}
	}
}

// missing returns the numbers that are not filled, before the highest that is.
func (e *epoch) missing() *interval.Set {
	var missing interval.Set
	next := uint64(1)
	for span := range e.filled.All {
		if span.First > next {
			missing.Add(next, span.First-1)
		}
		next = span.Last + 1
	}
	return &missing
}
