package intake

import (
	"maps"
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/ledger"
	"github.com/penstock/penstock/internal/spool"
)

// submission is one call of Admit on its way through the log. When its ticket is
// resolved it serves another call: nobody else may hold it, or anything of it but
// strings, by then.
type submission struct {
	home    *Intake
	encoded []byte            // the reports to be admitted, as entries of the log, and the digests behind them
	entries []spool.Entry     // what goes into the log
	facts   []fact            // what the entries tell the ledger, one each
	tallies map[string]*tally // by controller
	answers []answer
	ticket  *ticket
	done    func(penstock.Position, error) // what the log calls
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

func (n *Intake) newSubmission(t *ticket) *submission {
	s, ok := n.submissions.Get().(*submission)
	if !ok {
		s = &submission{home: n}
		s.done = func(first penstock.Position, err error) { n.committed(s, first, err) }
	}
	s.ticket = t
	return s
}

// What a submission keeps between calls at most; a larger one is not kept.
const (
	keptBytes   = 64 << 10
	keptEntries = 1 << 10
)

// close resolves the ticket, and gives the submission back.
func (s *submission) close() {
	s.ticket.resolve()
	if cap(s.encoded) > keptBytes || max(cap(s.facts), cap(s.answers)) > keptEntries {
		return
	}
	spoil(s.encoded[:cap(s.encoded)])
	clear(s.entries)
	clear(s.facts)
	clear(s.answers)
	*s = submission{
		home: s.home, done: s.done, encoded: s.encoded[:0],
		entries: s.entries[:0], facts: s.facts[:0], answers: s.answers[:0],
	}
	s.home.submissions.Put(s)
}

// encode encodes the reports that are to be admitted, which is the costly part and
// needs no lock.
func (s *submission) encode(js []Judged, now int64) {
	for i := range js {
		for k := range js[i].Reports {
			item := &js[i].Reports[k]
			if item.Reason != "" || item.Filter {
				continue
			}
			item.Report.AcceptedTime = now
			item.encoded = s.write(func(b []byte) []byte { return appendItem(b, item) })
		}
	}
}

// write returns what a function appends to the encoded bytes. What was returned
// before stays as it is, also when the bytes have to move.
func (s *submission) write(by func([]byte) []byte) []byte {
	start := len(s.encoded)
	s.encoded = by(s.encoded)
	return s.encoded[start:len(s.encoded):len(s.encoded)]
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
	digest := s.write(entry.AppendBinary)
	s.entries = append(s.entries, spool.Entry{Data: item.encoded, Digest: digest})
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
	data := s.write(func(b []byte) []byte { return appendDecision(b, &e) })
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
	if len(s.tallies) == 0 {
		return
	}
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
