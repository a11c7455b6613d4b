package demo

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/penstock/penstock/internal/sim"
)

// Books is the sum of all accounts as the gateway gives it, in reports.
type Books struct {
	Received  int64            `json:"received"`
	Accepted  int64            `json:"accepted"`
	Duplicate int64            `json:"duplicate"`
	Rejected  map[string]int64 `json:"rejected"`

	Committed         int64 `json:"committed"`
	DuplicateAtRecord int64 `json:"duplicate_at_record"`
	InSpool           int64 `json:"in_spool"`
	Quarantined       int64 `json:"quarantined"`
	Filtered          int64 `json:"filtered"`
	Discarded         int64 `json:"discarded"`
	Damaged           int64 `json:"damaged"`
}

// ledger is the answer of GET /v1/ledger.
type ledger struct {
	Total    Books            `json:"total"`
	Nameless map[string]int64 `json:"nameless"` // refused before it named a controller
}

func readLedger(ctx context.Context, r *sim.Reader) (ledger, error) {
	var l ledger
	err := r.Get(ctx, "/v1/ledger", &l)
	return l, err
}

func sum(m map[string]int64) int64 {
	var n int64
	for _, v := range m {
		n += v
	}
	return n
}

// Balanced tells whether both equations of the books hold.
func (b Books) Balanced() bool {
	return b.Received == b.Accepted+b.Duplicate+sum(b.Rejected) && b.Accepted == b.settled()
}

func (b Books) settled() int64 {
	return b.Committed + b.DuplicateAtRecord + b.InSpool + b.Quarantined + b.Filtered + b.Discarded + b.Damaged
}

// write shows the books so that everybody can add them up.
func (l ledger) write(w io.Writer) {
	b := l.Total
	fmt.Fprintf(w, "\nThe gateway's books, in reports\n")
	row := func(label string, n int64) { fmt.Fprintf(w, "  %-34s %10d\n", label, n) }
	row("received", b.Received)
	row("= accepted", b.Accepted)
	row("+ duplicate", b.Duplicate)
	row("+ rejected", sum(b.Rejected))
	for _, reason := range slices.Sorted(maps.Keys(b.Rejected)) {
		if b.Rejected[reason] > 0 {
			row("      "+reason, b.Rejected[reason])
		}
	}
	row("accepted", b.Accepted)
	row("= committed to the record", b.Committed)
	row("+ duplicate at the record", b.DuplicateAtRecord)
	row("+ in the spool", b.InSpool)
	row("+ quarantined", b.Quarantined)
	row("+ filtered", b.Filtered)
	row("+ discarded by a person", b.Discarded)
	row("+ damaged on disk", b.Damaged)
	if b.Balanced() {
		fmt.Fprintln(w, "  Both sums are right.")
	} else {
		fmt.Fprintln(w, "  THE SUMS DO NOT ADD UP.")
	}
	row("refused before it named anybody", sum(l.Nameless))
	for _, reason := range slices.Sorted(maps.Keys(l.Nameless)) {
		if l.Nameless[reason] > 0 {
			row("      "+reason, l.Nameless[reason])
		}
	}
}
