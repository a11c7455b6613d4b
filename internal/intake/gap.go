package intake

import (
	"context"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/ledger"
)

// Gaps returns at most so many gaps in the sequences of the controllers for which shown
// is true, sorted, and whether there are more. What is under way may still close one.
func (n *Intake) Gaps(limit int, shown func(controller string) bool) (gaps []ledger.Gap, more bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range n.ledger.Controllers() {
		if !shown(name) {
			continue
		}
		n.ledger.Gaps(name, func(g ledger.Gap) bool {
			more = len(gaps) == limit
			if !more {
				gaps = append(gaps, g)
			}
			return !more
		})
		if more {
			break
		}
	}
	return gaps, more
}

// DeclareLost fills gaps for good: what is declared lost is refused when it comes after
// all, and the watermark no longer waits for it. It returns when that is durable. Reports
// that have come meanwhile stay.
func (n *Intake) DeclareLost(ctx context.Context, gaps []ledger.Gap) error {
	const atOnce = 256
	for len(gaps) > 0 {
		part := gaps[:min(atOnce, len(gaps))]
		gaps = gaps[len(part):]
		err := n.append(ctx, func(s *submission) {
			for _, g := range part {
				s.decide(ledger.Entry{Kind: ledger.EntryLost, Controller: g.Controller, Identity: penstock.SequenceIdentity(g.Epoch, g.First), Last: g.Last})
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}
