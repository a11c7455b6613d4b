package intake

import (
	"context"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/ledger"
	"github.com/penstock/penstock/internal/plant"
	"github.com/penstock/penstock/internal/spool"
)

// Record is what the intake asks, at the start, of a system of record that stands
// on the same disk and can tell at once.
type Record interface {
	Through() penstock.Position
	Settled(yield func(controller string, epoch uint64, settled *interval.Set) bool) error
	Counters(yield func(controller string, o ledger.Outcomes) bool)
}

// Options are what an Intake works with. All but Record and Limits are required.
type Options struct {
	Log *spool.Spool
	// Record is nil where the system of record stands elsewhere: then what it has
	// settled is known from the newest snapshot, until [Intake.Settled] tells more.
	Record Record
	// Replayed is told, at the start, of each report that is accepted and not yet
	// in the record.
	Replayed func(r *penstock.Report)
	Now      func() time.Time
	Limits   ledger.Limits // the zero value stands for the defaults
}

// Intake admits reports. It is safe for concurrent use.
type Intake struct {
	log         *spool.Spool
	now         func() time.Time
	submissions sync.Pool // of *submission

	// mu guards what follows. Entries are appended to the log under it, so that
	// the order of the ledger is the order of the log.
	mu       sync.Mutex
	ledger   *ledger.Ledger
	applied  penstock.Position          // the last entry folded into the ledger
	settled  interval.Set               // the positions that the record is known to have settled
	kept     [2]penstock.Position       // through where the record was known to stand at the last two snapshots
	deferred map[penstock.Reason]uint64 // refusals that are booked with the next commit
	damaged  uint64                     // entries that could not be read any more, since the start
	moved    chan struct{}              // closed when the record has settled something; nil while nobody waits
}

// Admit judges the reports by the ledger, appends what is to be kept to the log
// and returns at once. The ticket resolves when the group is durable. The reports
// belong to the caller again when Admit returns.
func (n *Intake) Admit(js []Judged) penstock.Ticket {
	plant.Stall("intake")
	s := n.newSubmission(newTicket(js))
	s.encode(js, n.now().UnixNano())
	ticket := s.ticket // s may be gone before Append returns
	n.mu.Lock()
	defer n.mu.Unlock()
	n.judge(s, js)
	if len(s.entries) == 0 {
		s.close()
		return ticket
	}
	if err := n.log.Append(s.entries, s.done); err != nil {
		n.abort(s, err)
		s.close()
	}
	return ticket
}

// judge decides every report of the submission and collects the entries. Refusals
// that anybody can cause without a credential must not buy a commit each: they
// are booked with the next one that somebody else causes.
func (n *Intake) judge(s *submission, js []Judged) {
	for i := range js {
		j := &js[i]
		outcome := &s.ticket.outcomes[i]
		if j.Err != nil {
			outcome.Err = j.Err
			if j.Reason == penstock.ReasonUnauthenticated || j.Reason == penstock.ReasonLimited {
				n.deferred[j.Reason]++
			} else {
				s.tallyFor("").reject(j.Reason)
			}
			continue
		}
		for k := range j.Reports {
			n.judgeReport(s, &outcome.Verdicts[k], i, &j.Reports[k])
		}
	}
	if len(s.entries) > 0 || len(s.tallies) > 0 {
		for reason, count := range n.deferred {
			s.tallyFor("").rejected[reason] += count
		}
		clear(n.deferred)
	}
	if !plant.BooksNotInCommit.On() {
		s.appendTallies()
	}
}

func (n *Intake) judgeReport(s *submission, v *penstock.Verdict, envelope int, item *Item) {
	r := item.Report
	v.Controller, v.Identity = r.Controller, r.Identity
	if item.Reason != "" {
		n.refuse(s, v, envelope, item)
		return
	}
	claim := n.ledger.Claim(r.Controller, ledgerIdentity(r.Identity), r.Fingerprint)
	s.answers = append(s.answers, answer{envelope: envelope, verdict: v, original: claim.Original})
	switch claim.Standing {
	case ledger.Fresh:
		v.Result = penstock.Accepted
		s.accept(claim, item)
	case ledger.Repeated:
		v.Result = penstock.Duplicate
		s.tallyFor(r.Controller).duplicates++
	case ledger.Different:
		reject(v, penstock.ReasonConflict, "this identity was accepted before with another content; a new report needs a new sequence number or key")
		s.tallyFor(r.Controller).reject(penstock.ReasonConflict)
	case ledger.Refused:
		reject(v, penstock.ReasonRefused, "this sequence number was refused or declared lost before, which is final; send the report with a new one")
		s.tallyFor(r.Controller).reject(penstock.ReasonRefused)
	case ledger.TooSparse:
		reject(v, penstock.ReasonGaps, "too many sequence numbers are missing before this one; send those first, or begin a new epoch")
		s.tallyFor(r.Controller).reject(penstock.ReasonGaps)
	}
}

// refuse books a refusal. One of a trusted sender fills the sequence, so that
// the watermark does not wait for what will never come. What was accepted before
// the rules changed stays so.
func (n *Intake) refuse(s *submission, v *penstock.Verdict, envelope int, item *Item) {
	reject(v, item.Reason, item.Detail)
	r := item.Report
	if !item.Trusted {
		s.tallyFor("").reject(item.Reason)
		return
	}
	claim := n.ledger.ClaimRefusal(r.Controller, ledgerIdentity(r.Identity), r.Fingerprint)
	s.answers = append(s.answers, answer{envelope: envelope, verdict: v, original: claim.Original})
	switch {
	case claim.Standing == ledger.Repeated:
		v.Result, v.Reason, v.Detail = penstock.Duplicate, "", ""
		s.tallyFor(r.Controller).duplicates++
	case claim.Standing == ledger.Fresh && r.Identity.Form == penstock.Sequence:
		s.refuse(claim, item)
	default:
		s.tallyFor(r.Controller).reject(item.Reason)
	}
}

func reject(v *penstock.Verdict, reason penstock.Reason, detail string) {
	v.Result, v.Reason, v.Detail = penstock.Rejected, reason, detail
}

// committed is called by the log's writer, in the order of the log, when the
// submission's entries are durable or never will be.
func (n *Intake) committed(s *submission, first penstock.Position, err error) {
	n.mu.Lock()
	if err == nil {
		n.fold(s, first)
	} else {
		n.abort(s, err)
	}
	n.mu.Unlock()
	s.close()
}

// fold takes what the submission's entries say into the ledger, and completes the
// verdicts.
func (n *Intake) fold(s *submission, first penstock.Position) {
	for i := range s.facts {
		n.ledger.Apply(&s.facts[i].entry)
		n.applied = first + penstock.Position(i)
		if s.facts[i].entry.Kind == ledger.EntryDamaged {
			n.damaged++
			n.tell()
		}
	}
	for _, a := range s.answers {
		if a.original != nil && a.original.Failed {
			s.ticket.outcomes[a.envelope] = penstock.Outcome{Err: tryAgain("the report that this one repeats could not be made durable")}
			continue
		}
		if id := a.verdict.Identity; id.Form == penstock.Sequence {
			a.verdict.Accepted, a.verdict.Committed = n.ledger.Marks(a.verdict.Controller, id.Epoch)
		}
	}
}

// abort takes back the submission's claims; its senders must try again.
func (n *Intake) abort(s *submission, err error) {
	for i := range s.facts {
		if s.facts[i].claim != nil {
			n.ledger.Release(s.facts[i].claim)
		}
	}
	if code := penstock.CodeOf(err); !code.Temporary() && code != penstock.TooLarge {
		err = tryAgain("the spool cannot make reports durable now")
	}
	for i := range s.ticket.outcomes {
		if s.ticket.outcomes[i].Err == nil {
			s.ticket.outcomes[i] = penstock.Outcome{Err: err}
		}
	}
}

func tryAgain(text string) error {
	return penstock.RetryLater(penstock.Unavailable, time.Second, text)
}

// Settled folds in what the record did with a batch. What it was told before it
// is not told again.
func (n *Intake) Settled(b penstock.Batch, r penstock.Receipt) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, d := range b.Deliveries {
		switch {
		case n.settled.Contains(uint64(d.Position)):
		case d.Decision != nil:
			n.ledger.Resolve(d.Decision.Controller, r.Settlements[i])
		default:
			n.ledger.Settle(d.Report.Controller, d.Report.Identity, r.Settlements[i])
		}
	}
	n.settled.Add(uint64(b.First), uint64(b.Last))
	for _, k := range r.Known {
		n.learn(k)
	}
	n.tell()
}

// Learn folds in what the record holds of an epoch, through whichever node it came.
func (n *Intake) Learn(known []penstock.Known) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, k := range known {
		n.learn(k)
	}
	n.tell()
}

func (n *Intake) learn(k penstock.Known) {
	var settled, refused interval.Set
	for _, r := range k.Settled {
		settled.Add(r.First, r.Last)
	}
	for _, r := range k.Filled {
		refused.Add(r.First, r.Last)
	}
	n.ledger.Learn(k.Controller, k.Epoch, &settled, &refused)
}

// Past returns the positions that the record is known to have settled. The set is
// the caller's.
func (n *Intake) Past() interval.Set {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.settled.Clone()
}

// Decide appends what a person decided to the log, about a report in the quarantine of
// a sink that keeps its own: empty for the system of record. The sink learns of it in
// its turn. It returns when the decision is durable.
func (n *Intake) Decide(ctx context.Context, sink string, d penstock.Decision) error {
	return n.append(ctx, func(s *submission) {
		s.decide(ledger.Entry{Kind: ledger.EntryDecision, Controller: d.Controller, Verb: d.Verb, Number: d.Number, Sink: sink})
	})
}

// append appends the entries that by decides, and returns when they are durable.
func (n *Intake) append(ctx context.Context, by func(*submission)) error {
	ticket := newTicket(nil)
	s := n.newSubmission(ticket)
	n.mu.Lock()
	by(s)
	var err error
	if len(s.entries) > 0 {
		err = n.log.Append(s.entries, func(first penstock.Position, err error) {
			ticket.err = err
			n.committed(s, first, err)
		})
	} else {
		s.close()
	}
	n.mu.Unlock()
	if err != nil {
		return err
	}
	if _, err := ticket.Wait(ctx); err != nil {
		return err
	}
	return ticket.err
}

// Damage takes back accepted reports that can no longer be read: digests holds
// what the spool knew of each, lost stands where it knows nothing, by position
// from first. It returns when that is durable, so that resends are new.
func (n *Intake) Damage(ctx context.Context, first penstock.Position, digests [][]byte) error {
	return n.append(ctx, func(s *submission) {
		for i, digest := range digests {
			position := first + penstock.Position(i)
			e, err := ledger.DecodeEntry(digest)
			if err != nil || e.Kind != ledger.EntryReport || n.settled.Contains(uint64(position)) || position <= n.ledger.DamagedThrough() {
				continue // unknown; or whole in its digest, as decisions are; or seen to before
			}
			s.decide(ledger.Entry{Kind: ledger.EntryDamaged, Controller: e.Controller, Identity: e.Identity, Position: position})
		}
	})
}

// Checkpoint writes a snapshot of the ledger and lets go of the part of the log
// that the snapshot and the record are past, as far as floor. It returns through
// where no later start will ask the record again what it settled.
func (n *Intake) Checkpoint(floor penstock.Position) (penstock.Position, error) {
	n.mu.Lock()
	through, settled := n.applied, penstock.Position(n.settled.Through(1))
	snapshot := n.appendSnapshot(nil)
	n.mu.Unlock()
	if err := n.log.WriteSnapshot(through, snapshot); err != nil {
		return 0, penstock.Errorf(penstock.CodeOf(err), "snapshot of the ledger: %w", err)
	}
	n.mu.Lock()
	n.kept[0], n.kept[1] = n.kept[1], settled // the log falls back to the last but one
	forgotten := n.kept[0]
	n.mu.Unlock()
	return forgotten, n.log.Release(min(through, settled, floor))
}

// Account is the books of one controller.
type Account struct {
	Controller string // empty for input that names no controller
	Books      ledger.Books
}

// Books returns the accounts of all controllers, sorted by name, and before
// them that of input that names none.
func (n *Intake) Books() []Account {
	n.mu.Lock()
	defer n.mu.Unlock()
	accounts := []Account{{Books: n.nameless()}}
	for _, name := range n.ledger.Controllers() {
		books, _ := n.ledger.Books(name)
		accounts = append(accounts, Account{name, books})
	}
	return accounts
}

// Totals returns the sum of all controllers' accounts, and the account of input
// that names no controller.
func (n *Intake) Totals() (named, nameless ledger.Books) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ledger.Total(), n.nameless()
}

// nameless returns the account of input that names no controller, with what is
// still to be booked. n.mu is held.
func (n *Intake) nameless() ledger.Books {
	books := n.ledger.Unnamed()
	for reason, count := range n.deferred {
		books.Add(&ledger.Books{Received: count, Rejected: map[penstock.Reason]uint64{reason: count}})
	}
	return books
}

// MarksOf returns the accepted mark and the committed watermark of an epoch, zero
// where it is not known, and the controller's last epoch, 0 for none.
func (n *Intake) MarksOf(controller string, epoch uint64) (accepted, committed penstock.Mark, last uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	accepted, committed = n.ledger.Marks(controller, epoch)
	return accepted, committed, n.ledger.LastEpoch(controller)
}

// Knows tells whether this node has, or has learnt, anything of an epoch of the
// controller, or of any of its epochs where it is 0.
func (n *Intake) Knows(controller string, epoch uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ledger.Knows(controller, epoch)
}

// Marks returns the accepted mark and the committed watermark of the
// controller's last epoch; both are zero for one that never sent a sequence.
func (n *Intake) Marks(controller string) (accepted, committed penstock.Mark) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ledger.Marks(controller, n.ledger.LastEpoch(controller))
}

// Arrivals returns how many reports of the controller were duplicates, and how many
// sequence numbers are missing before the newest of their epochs; false when it
// has no books.
func (n *Intake) Arrivals(controller string) (duplicates, missing uint64, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	books, known := n.ledger.Books(controller)
	return books.Duplicate, n.ledger.Missing(controller), known
}
