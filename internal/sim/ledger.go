package sim

import "sync"

// A Mark is what a sender knows of one of its reports.
type Mark uint8

// The marks of a report; more than one can be set.
const (
	Sent         Mark = 1 << iota // an intact copy was handed to the network: it may be stored
	Acknowledged                  // the gateway said accepted or duplicate: it must be stored
	Refused                       // the gateway said rejected: it must not be stored
)

// A Ledger is what one controller sent and what it was told, kept where the
// gateway's troubles cannot reach it. It is safe for concurrent use.
type Ledger struct {
	mu        sync.Mutex
	marks     []Mark // by seq, less one
	committed uint64 // the highest watermark that an answer gave
}

// Note sets a mark of a report and returns those that it had before.
func (l *Ledger) Note(seq uint64, m Mark) Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	for uint64(len(l.marks)) < seq {
		l.marks = append(l.marks, 0)
	}
	before := l.marks[seq-1]
	l.marks[seq-1] = before | m
	return before
}

// NoteCommitted keeps the committed watermark of an answer.
func (l *Ledger) NoteCommitted(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.committed = max(l.committed, seq)
}

// Of returns the marks of a report: 0 when it was never sent.
func (l *Ledger) Of(seq uint64) Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	if seq == 0 || seq > uint64(len(l.marks)) {
		return 0
	}
	return l.marks[seq-1]
}

// Highest returns the highest seq that the ledger knows, 0 for none.
func (l *Ledger) Highest() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.marks))
}

// Committed returns the highest watermark that the gateway gave, 0 for none:
// every report up to it must be stored, acknowledged or not.
func (l *Ledger) Committed() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.committed
}

// settled tells whether the sender is done with the report.
func (l *Ledger) settled(seq uint64) bool { return l.Of(seq)&(Acknowledged|Refused) != 0 }
