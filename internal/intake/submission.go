package intake

import (
	"context"
	"maps"
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/ledger"
	"github.com/penstock/penstock/internal/spool"
)

// submission is one call of Admit on its way through the log.
type submission struct {
	judged  []Judged
	entries []spool.Entry     // what goes into the log
	facts   []fact            // what the entries tell the ledger, one each
	tallies map[string]*tally // by controller
	answers []answer
	ticket  *ticket
}

// fact is an entry as the ledger sees it, and the claim that it fulfils.
type fact struct {
	entry ledger.Entry
	claim *ledger.Claim // nil for decisions
}

// answer is a verdict whose marks are filled in once the entries are durable.
type answer struct {
	envelope int
	verdict  *penstock.Verdict
	original *ledger.Claim // the report under way that this one repeats, or nil
}

// newSubmission encodes the reports that are to be admitted, which is the costly
// part and needs no lock.
func newSubmission(js []Judged, now int64) *submission {
	s := &submission{
		judged: js,
		ticket: &ticket{ready: make(chan struct{}), outcomes: make([]penstock.Outcome, len(js))},
	}
	for i := range js {
		for k := range js[i].Reports {
			item := &js[i].Reports[k]
			if item.Reason != "" || item.Filter {
				continue
			}
			item.Report.AcceptedTime = now
			item.encoded = encodeReport(item.Report)
		}
	}
	return s
}

// accept adds the entry of a report that is new.
func (s *submission) accept(claim *ledger.Claim, item *Item) {
	entry := reportEntry(item.Report)
	if item.Filter {
		entry.Kind = ledger.EntryFiltered
		s.decide(entry)
		s.facts[len(s.facts)-1].claim = claim
		return
	}
	s.entries = append(s.entries, spool.Entry{Data: item.encoded, Digest: entry.AppendBinary(nil)})
	s.facts = append(s.facts, fact{entry, claim})
}

// refuse adds the entry of a refusal that fills its place.
func (s *submission) refuse(claim *ledger.Claim, item *Item) {
	r := item.Report
	s.decide(ledger.Entry{Kind: ledger.EntryRefused, Controller: r.Controller, Identity: r.Identity, Reason: item.Reason})
	s.facts[len(s.facts)-1].claim = claim
}

// decide adds the entry of a decision, whose digest is the whole of it.
func (s *submission) decide(e ledger.Entry) {
	data := appendDecision(nil, &e)
	s.entries = append(s.entries, spool.Entry{Data: data, Digest: data[1:]})
	s.facts = append(s.facts, fact{entry: e})
}

// tally counts what needs no entry of its own.
type tally struct {
	duplicates uint64
	rejected   map[penstock.Reason]uint64
}

// tallyFor returns the controller's tally; the empty name stands for input that
// names no controller.
func (s *submission) tallyFor(controller string) *tally {
	t := s.tallies[controller]
	if t == nil {
		t = &tally{rejected: map[penstock.Reason]uint64{}}
		if s.tallies == nil {
			s.tallies = map[string]*tally{}
		}
		s.tallies[controller] = t
	}
	return t
}

func (t *tally) reject(reason penstock.Reason) { t.rejected[reason]++ }

// maxRejections keeps the entry of a tally within the length of a digest.
const maxRejections = 4

// appendTallies adds the tallies in the order of the names.
func (s *submission) appendTallies() {
	for _, controller := range slices.Sorted(maps.Keys(s.tallies)) {
		t := s.tallies[controller]
		e := ledger.Entry{Kind: ledger.EntryTally, Controller: controller, Duplicates: t.duplicates}
		for _, reason := range slices.Sorted(maps.Keys(t.rejected)) {
			if len(e.Rejections) == maxRejections {
				s.decide(e)
				e = ledger.Entry{Kind: ledger.EntryTally, Controller: controller}
			}
			e.Rejections = append(e.Rejections, ledger.Rejection{Reason: reason, Count: t.rejected[reason]})
		}
		s.decide(e)
	}
}

// ticket resolves when its submission is durable, or cannot be.
type ticket struct {
	ready    chan struct{} // closed when the outcomes are final
	outcomes []penstock.Outcome
	err      error // of a submission that answers nobody
}

func (t *ticket) resolve() { close(t.ready) }

// Wait implements [penstock.Ticket].
func (t *ticket) Wait(ctx context.Context) ([]penstock.Outcome, error) {
	select {
	case <-t.ready:
		return t.outcomes, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
