package ledger

import (
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/plant"
)

// Limits bound what the ledger keeps for one controller.
type Limits struct {
	Gaps         int // gaps in one epoch; a report that would open one more is refused
	Fingerprints int // latest reports whose content is remembered, to tell a conflict from a duplicate
	Keys         int // latest idempotency keys remembered; for older ones the record decides
}

// DefaultLimits are the limits of a node that is not told otherwise.
func DefaultLimits() Limits { return Limits{Gaps: 1024, Fingerprints: 64, Keys: 1024} }

// Ledger is the state. It is not safe for concurrent use.
type Ledger struct {
	limits         Limits
	accounts       map[string]*account
	unnamed        Books // input that names no controller
	damagedThrough penstock.Position
}

// New returns an empty ledger.
func New(limits Limits) *Ledger {
	return &Ledger{limits: limits, accounts: map[string]*account{}}
}

// Standing is what a report is in the light of the ledger.
type Standing uint8

// The standings of a claim.
const (
	Fresh     Standing = iota // never seen: append it to the spool
	Repeated                  // a duplicate
	Different                 // the identity is known with another content
	Refused                   // its place was filled by a refusal or declared lost, which is final
	TooSparse                 // it would open one gap too many
)

// Claim is a report's place in the ledger while it is under way.
type Claim struct {
	Standing Standing
	Original *Claim // for Repeated and Different: the report under way that it waits for; nil when that is durable
	Failed   bool   // the claim was released: it did not become durable

	controller string
	identity   penstock.Identity
	print      penstock.Fingerprint
	refusal    bool // what is under way fills the place and holds no report
}

// Claim tells what the report is and, when it is new, holds its identity until
// [Ledger.Apply] or [Ledger.Release]. What waits for a claim under way must not
// be answered before that has become durable.
func (l *Ledger) Claim(controller string, id penstock.Identity, print penstock.Fingerprint) *Claim {
	c := l.look(controller, id, print)
	if c.Standing != Fresh {
		return c
	}
	a := l.account(controller)
	switch id.Form {
	case penstock.Sequence:
		e := a.epoch(id.Epoch)
		if e.claims == nil {
			e.claims = map[uint64]*Claim{}
		}
		e.claims[id.Seq] = c
	case penstock.Keyed:
		if a.keys.claims == nil {
			a.keys.claims = map[string]*Claim{}
		}
		a.keys.claims[id.Key] = c
	}
	return c
}

// ClaimRefusal is [Ledger.Claim] for a report that is refused for its content:
// what comes for the same place while the refusal is under way is [Refused]. It
// holds nothing where the identity is no sequence, which has no place to fill.
func (l *Ledger) ClaimRefusal(controller string, id penstock.Identity, print penstock.Fingerprint) *Claim {
	if id.Form != penstock.Sequence {
		return l.look(controller, id, print)
	}
	c := l.Claim(controller, id, print)
	c.refusal = c.Standing == Fresh
	return c
}

// look tells what the report is, as [Ledger.Claim] does, and holds nothing.
func (l *Ledger) look(controller string, id penstock.Identity, print penstock.Fingerprint) *Claim {
	c := &Claim{controller: controller, identity: id, print: print}
	switch id.Form {
	case penstock.Sequence:
		l.lookSequence(c)
	case penstock.Keyed:
		l.lookKey(c)
	}
	return c
}

func (l *Ledger) lookSequence(c *Claim) {
	a := l.account(c.controller)
	e := a.epoch(c.identity.Epoch)
	seq := c.identity.Seq
	switch original := e.claims[seq]; {
	case original != nil:
		c.waitFor(original)
	case e.accepted.Contains(seq):
		known, ok := a.fingerprint(c.identity)
		c.Standing = standing(!ok || known == c.print)
	case e.filled.Contains(seq):
		c.Standing = Refused
	case e.filled.Spans() > l.limits.Gaps && !e.touches(seq):
		c.Standing = TooSparse
	}
}

func (l *Ledger) lookKey(c *Claim) {
	keys := &l.account(c.controller).keys
	if original := keys.claims[c.identity.Key]; original != nil {
		c.waitFor(original)
	} else if known, ok := keys.prints[c.identity.Key]; ok {
		c.Standing = standing(known == c.print)
	}
}

// waitFor makes the claim one that repeats a report under way.
func (c *Claim) waitFor(original *Claim) {
	c.Standing = standing(original.print == c.print)
	if original.refusal {
		c.Standing = Refused
	}
	if !plant.DuplicateNotWaiting.On() {
		c.Original = original
	}
}

func standing(same bool) Standing {
	if same {
		return Repeated
	}
	return Different
}

// Release takes back a claim whose entry did not become durable.
func (l *Ledger) Release(c *Claim) {
	c.Failed = true
	l.forget(c.controller, c.identity)
	if plant.AbortKeepsIdentities.On() && c.identity.Form == penstock.Sequence {
		l.account(c.controller).epoch(c.identity.Epoch).accept(c.identity.Seq)
	}
}

// forget removes the claim on an identity.
func (l *Ledger) forget(controller string, id penstock.Identity) {
	a := l.account(controller)
	switch id.Form {
	case penstock.Sequence:
		delete(a.epoch(id.Epoch).claims, id.Seq)
	case penstock.Keyed:
		delete(a.keys.claims, id.Key)
	}
}

// Apply folds a durable entry in. It is called once for each entry, in the order
// of the spool.
func (l *Ledger) Apply(e *Entry) {
	switch e.Kind {
	case EntryReport, EntryFiltered:
		l.applyReport(e)
	case EntryRefused:
		l.forget(e.Controller, e.Identity)
		a := l.account(e.Controller)
		a.books.Received++
		a.books.reject(e.Reason, 1)
		a.epoch(e.Identity.Epoch).fill(e.Identity.Seq, e.Identity.Seq)
	case EntryLost:
		l.account(e.Controller).epoch(e.Identity.Epoch).fill(e.Identity.Seq, e.Last)
	case EntryTally:
		l.applyTally(e)
	case EntryDamaged:
		l.applyDamaged(e)
	}
}

func (l *Ledger) applyReport(e *Entry) {
	a := l.account(e.Controller)
	l.forget(e.Controller, e.Identity)
	a.books.Received++
	a.books.Accepted++
	a.remember(e.Identity, e.Fingerprint, l.limits)
	if e.Identity.Form == penstock.Sequence {
		a.epoch(e.Identity.Epoch).accept(e.Identity.Seq)
	}
	if e.Kind == EntryReport {
		a.books.Waiting++
		return
	}
	a.books.Filtered++
	a.close(e.Identity)
}

func (l *Ledger) applyTally(e *Entry) {
	books := &l.unnamed
	if e.Controller != "" {
		books = &l.account(e.Controller).books
	}
	books.Received += e.Duplicates
	books.Duplicate += e.Duplicates
	for _, r := range e.Rejections {
		books.Received += r.Count
		books.reject(r.Reason, r.Count)
	}
}

// applyDamaged takes back a report that was accepted and not yet settled, so
// that its resend is new.
func (l *Ledger) applyDamaged(e *Entry) {
	if e.Position <= l.damagedThrough {
		return
	}
	l.damagedThrough = e.Position
	a := l.account(e.Controller)
	a.books.Waiting--
	a.books.Damaged++
	switch e.Identity.Form {
	case penstock.Sequence:
		ep := a.epoch(e.Identity.Epoch)
		ep.accepted.Remove(e.Identity.Seq, e.Identity.Seq)
		ep.filled.Remove(e.Identity.Seq, e.Identity.Seq)
	case penstock.Keyed:
		a.keys.remove(e.Identity.Key)
	}
}

// DamagedThrough returns the highest position of a damaged report that was
// applied. Damage is found in the order of positions, so what stands at or below
// it has been seen to.
func (l *Ledger) DamagedThrough() penstock.Position { return l.damagedThrough }

// Resolve folds in what the record did with a report in quarantine about which a
// person decided.
func (l *Ledger) Resolve(controller string, s penstock.Settlement) {
	b := &l.account(controller).books
	switch s {
	case penstock.Stored:
		b.Quarantined--
		b.Stored++
	case penstock.StoredTwice:
		b.Quarantined--
		b.StoredTwice++
	case penstock.Discarded:
		b.Quarantined--
		b.Discarded++
	}
}

// Settle folds in what the record did with an accepted report.
func (l *Ledger) Settle(controller string, id penstock.Identity, s penstock.Settlement) {
	a := l.account(controller)
	a.books.Waiting--
	switch s {
	case penstock.Stored:
		a.books.Stored++
	case penstock.StoredTwice:
		a.books.StoredTwice++
	case penstock.Quarantined:
		a.books.Quarantined++
	}
	a.close(id)
}

// Resettle tells the ledger, after a restart, that a report is settled: the
// record's own counters ([Ledger.Restock]) have it already.
func (l *Ledger) Resettle(controller string, id penstock.Identity) { l.account(controller).close(id) }

// Recount sets, after a restart, how many reports of each controller wait in the
// spool, counted there.
func (l *Ledger) Recount(waiting map[string]uint64) {
	for _, a := range l.accounts {
		a.books.Waiting = 0
	}
	for controller, n := range waiting {
		l.account(controller).books.Waiting = n
	}
}

// Learn adds what the record says is settled in an epoch, through this node or
// another, and which numbers another node has refused or heard to be lost. What this
// node has accepted under such a number, or has under way, stays a report that waits
// for the record.
func (l *Ledger) Learn(controller string, epochNumber uint64, settled, refused *interval.Set) {
	e := l.account(controller).epoch(epochNumber)
	for span := range settled.All {
		e.accepted.Add(span.First, span.Last)
		e.filled.Add(span.First, span.Last)
		e.closed.Add(span.First, span.Last)
	}
	left := refused.Clone()
	for seq := range e.claims {
		left.Remove(seq, seq)
	}
	for span := range left.All {
		e.fill(span.First, span.Last)
	}
}

// Restock sets a controller's accounts of settled reports to the record's own.
func (l *Ledger) Restock(controller string, o Outcomes) {
	b := &l.account(controller).books
	b.Stored, b.StoredTwice, b.Quarantined, b.Discarded = o.Stored, o.StoredTwice, o.Quarantined, o.Discarded
}

// Marks returns the accepted mark and the committed watermark of an epoch.
func (l *Ledger) Marks(controller string, epochNumber uint64) (accepted, committed penstock.Mark) {
	accepted, committed = penstock.Mark{Epoch: epochNumber}, penstock.Mark{Epoch: epochNumber}
	a := l.accounts[controller]
	if a == nil || a.epochs[epochNumber] == nil {
		return accepted, committed
	}
	e := a.epochs[epochNumber]
	accepted.Seq, committed.Seq = e.filled.Through(1), e.closed.Through(1)
	if plant.WatermarkFromMax.On() {
		committed.Seq = e.closed.Highest()
	}
	return accepted, committed
}

// Settled tells whether the record has settled a report with a sequence.
func (l *Ledger) Settled(controller string, id penstock.Identity) bool {
	a := l.accounts[controller]
	if a == nil || a.epochs[id.Epoch] == nil {
		return false
	}
	return a.epochs[id.Epoch].closed.Contains(id.Seq)
}

// LastEpoch returns the controller's highest epoch, 0 when it has none.
func (l *Ledger) LastEpoch(controller string) uint64 {
	var last uint64
	if a := l.accounts[controller]; a != nil {
		for number := range a.epochs {
			last = max(last, number)
		}
	}
	return last
}

// Knows tells whether there is anything of an epoch of the controller, or of any of
// its epochs where it is 0: a number that is filled, or a report under way.
func (l *Ledger) Knows(controller string, epochNumber uint64) bool {
	a := l.accounts[controller]
	if a == nil {
		return false
	}
	for number, e := range a.epochs {
		if (epochNumber == 0 || number == epochNumber) && (len(e.claims) > 0 || e.filled.Spans() > 0) {
			return true
		}
	}
	return false
}

// Missing returns how many sequence numbers of the controller have not come, before
// the newest of each of its epochs.
func (l *Ledger) Missing(controller string) uint64 {
	a := l.accounts[controller]
	if a == nil {
		return 0
	}
	var missing uint64
	for _, e := range a.epochs {
		missing += e.filled.Highest() - e.filled.Count()
	}
	return missing
}

// Books returns a copy of the controller's accounts, and whether it is known.
func (l *Ledger) Books(controller string) (Books, bool) {
	a := l.accounts[controller]
	if a == nil {
		return Books{}, false
	}
	return a.books.Clone(), true
}

// Total returns the sum of the accounts of all controllers.
func (l *Ledger) Total() Books {
	var total Books
	for _, a := range l.accounts {
		total.Add(&a.books)
	}
	return total
}

// Unnamed returns a copy of the accounts of input that names no controller.
func (l *Ledger) Unnamed() Books { return l.unnamed.Clone() }

// Controllers returns the names of the known controllers, sorted.
func (l *Ledger) Controllers() []string {
	names := make([]string, 0, len(l.accounts))
	for name := range l.accounts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (l *Ledger) account(controller string) *account {
	a := l.accounts[controller]
	if a == nil {
		a = &account{epochs: map[uint64]*epoch{}}
		l.accounts[controller] = a
	}
	return a
}
