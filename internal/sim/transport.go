package sim

import (
	"context"
	"errors"

	"github.com/penstock/penstock"
)

// A Message is one try to deliver a report.
type Message struct {
	Controller int              // number of the sender in its Model
	Report     *penstock.Report // not kept by the transport
	Damage     uint64           // not 0: change bytes after the checksum was computed, see [Damage]
}

// An Answer is what the gateway said of a message that it judged.
type Answer struct {
	Result    penstock.Result
	Reason    penstock.Reason // when rejected
	Detail    string          // when rejected
	Committed penstock.Mark   // the committed watermark of the sender
}

// ErrUnknown is the cause of an error when a message may or may not have
// arrived: the connection broke, the deadline passed, the answer made no sense.
var ErrUnknown = errors.New("the outcome is not known")

// A Transport carries messages to a gateway, in one protocol. It is safe for
// concurrent use.
type Transport interface {
	// Send carries one message and returns the answer. It does not retry. An
	// error that wraps [ErrUnknown] leaves open what became of the message; any
	// other error has a penstock code and says that the gateway refused the
	// message without judging the report, for now when the code is temporary.
	Send(ctx context.Context, m Message) (Answer, error)
	// Close ends the connections. It is legal twice.
	Close() error
}
