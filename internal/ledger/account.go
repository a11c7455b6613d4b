package ledger

import (
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/interval"
)

// account is what is known of one controller.
type account struct {
	books  Books
	epochs map[uint64]*epoch
	recent []print // ring of the latest fingerprints
	next   int     // where the ring goes on once it is full
	keys   keyring
}

// epoch is one sequence of a controller. See the package comment for the sets.
type epoch struct {
	accepted interval.Set
	filled   interval.Set
	closed   interval.Set
	claims   map[uint64]*Claim // reports under way, by seq
}

// print remembers the content of a sequenced report.
type print struct {
	epoch, seq  uint64
	fingerprint penstock.Fingerprint
}

func (a *account) epoch(number uint64) *epoch {
	e := a.epochs[number]
	if e == nil {
		e = &epoch{}
		a.epochs[number] = e
	}
	return e
}

func (e *epoch) accept(seq uint64) {
	e.accepted.Add(seq, seq)
	e.filled.Add(seq, seq)
}

// fill marks the places from first to last that hold no report: none will come.
func (e *epoch) fill(first, last uint64) {
	var missing interval.Set
	missing.Add(first, last)
	for span := range e.accepted.All {
		missing.Remove(span.First, span.Last)
	}
	for span := range missing.All {
		e.filled.Add(span.First, span.Last)
		e.closed.Add(span.First, span.Last)
	}
}

func (a *account) close(id penstock.Identity) {
	if id.Form == penstock.Sequence {
		a.epoch(id.Epoch).closed.Add(id.Seq, id.Seq)
	}
}

func (a *account) remember(id penstock.Identity, fingerprint penstock.Fingerprint, limits Limits) {
	switch {
	case id.Form == penstock.Keyed:
		a.keys.add(id.Key, fingerprint, limits.Keys)
	case id.Form != penstock.Sequence:
	case len(a.recent) < limits.Fingerprints:
		a.recent = append(a.recent, print{id.Epoch, id.Seq, fingerprint})
	case len(a.recent) > 0:
		a.recent[a.next] = print{id.Epoch, id.Seq, fingerprint}
		a.next = (a.next + 1) % len(a.recent)
	}
}

// fingerprint returns the latest remembered content of an identity.
func (a *account) fingerprint(id penstock.Identity) (penstock.Fingerprint, bool) {
	for i := range a.recent {
		// From the newest to the oldest: a mended resend comes after what it mends.
		p := a.recent[(a.next-1-i+2*len(a.recent))%len(a.recent)]
		if p.epoch == id.Epoch && p.seq == id.Seq {
			return p.fingerprint, true
		}
	}
	return 0, false
}

// touches tells whether seq would join a span instead of opening a new one.
func (e *epoch) touches(seq uint64) bool {
	return e.filled.Contains(seq-1) || e.filled.Contains(seq+1)
}
