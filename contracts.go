package penstock

import "context"

// A Source delivers envelopes from one configured origin.
type Source interface {
	// Run submits to next until ctx ends or the origin fails, then returns; it
	// owns every goroutine it starts and returns only after all have ended. It
	// acknowledges upstream only after the ticket resolved well. It does not
	// reconnect: it returns an error and its runner decides.
	Run(ctx context.Context, next Handler) error
}

// A Handler takes responsibility for envelopes.
type Handler interface {
	// Submit judges the envelopes in order and returns at once; what is accepted
	// becomes durable while the ticket is waited for. It keeps the envelopes'
	// bytes until the ticket resolves, and es itself until it returns. It is safe
	// for concurrent use; envelopes of one caller are admitted in the order of its
	// calls.
	Submit(ctx context.Context, es []Envelope) Ticket
}

// A Sink writes reports to a destination and is idempotent by their identity:
// writing twice equals writing once.
type Sink interface {
	// Write returns nil only when every report is durable at the destination. A
	// partial failure is a [*WriteError]. It does not retry, does not keep rs, and
	// is called by one goroutine at a time.
	Write(ctx context.Context, rs []*Report) error
	// Close releases what the sink holds. It is legal twice.
	Close() error
}

// WriteError names the reports of a Write that failed; the others are durable.
type WriteError struct {
	Failed map[int]error // by index in the slice given to Write
}

// Error tells how many failed and one of the causes.
func (e *WriteError) Error() string {
	lowest := -1
	for i := range e.Failed {
		if lowest < 0 || i < lowest {
			lowest = i
		}
	}
	if lowest < 0 {
		return "no report failed"
	}
	return Errorf(Internal, "%d reports failed, the first: %w", len(e.Failed), e.Failed[lowest]).Error()
}

// Position is the place of an entry in a node's spool: 1, 2, 3 …, never used
// twice. 0 is before the first.
type Position uint64

// Delivery is one entry of a node's spool on its way to a sink: a report, or what
// a person decided about one that is in quarantine.
type Delivery struct {
	Position Position
	Report   *Report   // nil for a decision
	Hold     string    // why a step wants it in quarantine, empty for most; a duplicate is one all the same
	Decision *Decision // nil for a report
}

// Decision is what a person decided about a report in quarantine. It goes through
// the spool as a report does, so that what follows from it happens once.
type Decision struct {
	Verb       Verb
	Controller string // whose report it is
	Number     uint64 // of the report in the quarantine of the record
}

// Verb says what is to become of a report in quarantine.
type Verb uint8

// The verbs. The numbers are part of the formats on disk.
const (
	Retry   Verb = 1 // store it now, if it can be
	Discard Verb = 2 // give it up
)

// Batch is what a record settles at once.
type Batch struct {
	// First to Last are the positions that are settled with the batch: those
	// without a delivery hold nothing for a record.
	First, Last Position
	Deliveries  []Delivery // in the order of their positions
	// Filled are numbers that the entries of these positions fill without a report. A
	// record that several nodes share keeps them, for the others to know; they may come
	// again.
	Filled []Filled
}

// Filled is a run of numbers of a sequence for which there is no report to deliver, and
// never will be.
type Filled struct {
	Controller string
	Epoch      uint64
	SeqRange
	// Dropped says that reports were accepted and a step dropped them on purpose: they
	// are as settled as if they were stored. Else they were refused or declared lost,
	// and what another node accepted under such a number all the same is stored.
	Dropped bool
}

// Check returns an error of code [Invalid] when there can be no such numbers: no record
// keeps them.
func (f *Filled) Check() error {
	if err := CheckControllerName(f.Controller); err != nil {
		return err
	}
	if f.First > f.Last || f.Last > MaxSequence {
		return Errorf(Invalid, "numbers %d to %d of a sequence cannot be filled", f.First, f.Last)
	}
	return SequenceIdentity(f.Epoch, f.First).Check()
}

// Settlement is what the record did with one delivery.
type Settlement uint8

// The settlements. The numbers are part of the formats on disk.
const (
	Stored      Settlement = 1 // every sample is in the record
	StoredTwice Settlement = 2 // the identity was there already: nothing was written
	Quarantined Settlement = 3 // refused by the record, kept with its reason for a person
	Discarded   Settlement = 4 // a person gave it up
	Unchanged   Settlement = 5 // a decision about what is not in quarantine any more
)

// Receipt is what a record answers to a batch.
type Receipt struct {
	Settlements []Settlement // one for each delivery
	// Known is what the record holds of the batch's controllers that came through
	// other nodes. It may be left out for epochs of which it holds no more than
	// this node delivered.
	Known []Known
}

// Known is what a record holds of an epoch of a controller.
type Known struct {
	Controller string
	Epoch      uint64
	Settled    []SeqRange // sorted, disjoint
	// Filled are the numbers that were refused or declared lost, sorted and disjoint.
	// Where one is settled too, another node had accepted it.
	Filled []SeqRange
}

// SeqRange is the sequence numbers from First to Last.
type SeqRange struct{ First, Last uint64 }

// Settled is a run of positions that a record has settled.
type Settled struct {
	First, Last Position
	// Other has the settlements that are not Stored, by position. It is complete for
	// all that was not yet forgotten.
	Other map[Position]Settlement
}

// A Record is a store that decides what is settled. It keeps its place in this
// node's spool in the transaction that writes the samples. One of a node's records
// is the system of record, which moves the committed watermark.
type Record interface {
	// Resume returns what of this node's spool is settled, by position, and makes
	// this process the only one that settles for the node. It is called before the
	// first Settle and after every error of one, whose effect it thereby tells.
	// Code [Conflict]: what the record has settled for the node comes from another
	// history of its spool (an old copy of its disk, or a twin).
	Resume(ctx context.Context) ([]Settled, error)
	// Settle writes the batch in one durable transaction and tells what it did with
	// each delivery. Batches come in any order and may come again; what is settled
	// already stays as it is and is answered as before. After an error it is unknown
	// whether the batch is settled.
	Settle(ctx context.Context, b Batch) (Receipt, error)
	// Forget tells that nobody will ask again for the settlements of the positions up
	// to through.
	Forget(ctx context.Context, through Position) error
	// Close releases what the record holds. It is legal twice.
	Close() error
}
