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

// Delivery is a report on its way to the record, with its place in the spool.
type Delivery struct {
	Position Position
	Report   *Report
	// Quarantine says why the report is not to be stored but kept for a person; it is
	// empty for all others. An identity that is in the record already is a duplicate
	// all the same.
	Quarantine string
}

// Settlement is what the record did with one delivery.
type Settlement uint8

// The settlements. The numbers are part of the formats on disk.
const (
	Stored      Settlement = 1 // every sample is in the record
	StoredTwice Settlement = 2 // the identity was there already: nothing was written
	Quarantined Settlement = 3 // refused by the record, kept with its reason for a person
)

// A Record is the store that decides what is settled: the system of record.
type Record interface {
	// Settle writes the deliveries and the fact that all positions up to through
	// are settled, in one durable transaction, and tells what it did with each.
	// Deliveries come in the order of their positions. Called again with what is
	// settled already, it changes nothing and answers the same. An error means
	// that nothing of it may be taken as settled.
	Settle(ctx context.Context, ds []Delivery, through Position) ([]Settlement, error)
	// Through returns the last position that is settled.
	Through() Position
	Close() error
}
