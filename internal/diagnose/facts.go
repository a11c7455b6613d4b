package diagnose

import (
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
)

// Facts are what is known at one moment beside the reports themselves.
type Facts struct {
	Now time.Time
	// Stood is how much later than it should the diagnosis was asked, by a clock
	// that nobody sets: the gateway stood still for that long.
	Stood       time.Duration
	Controllers []Known
	Failing     map[string]string // sources that fail, and why
	Node        Node
	Book        *evidence.Book
}

// Known is what others know of a controller.
type Known struct {
	Name     string
	Site     string // empty for not known
	Line     string // that it shares with others, empty for none
	Port     string // page of the evidence on which its line is counted, empty for none
	Source   string // through which it reports
	Held     bool   // it waits for a person to admit it
	LastSeen int64  // nanoseconds since 1970 UTC, 0 for never
	Missing  uint64 // sequence numbers that are missing now
}

// Node is the state of the gateway behind its sources.
type Node struct {
	Durable uint64 // last position of the spool
	Settled uint64 // up to which the record has all
	Spool   string // what is wrong with the spool, empty for nothing
	Store   string // what is wrong with the record or its store, empty for nothing
}

// Arrival is a report at the intake. Times are nanoseconds since 1970 UTC.
type Arrival struct {
	Controller string
	Identity   penstock.Identity
	SourceTime int64 // newest of its live samples on the controller's clock; 0 where the gateway gave the times, or for a report that was kept back
	Received   int64
	Admitted   int64
	Reason     penstock.Reason // why it was refused; empty when it was not
}

// Hops are when one report passed each stage, by the identity of the report.
// Source is on the controller's clock, the others on the gateway's; 0 for a time
// that nobody gave.
type Hops struct {
	Identity                           penstock.Identity
	Source, Received, Accepted, Stored int64
}

// ArrivalOf returns what the diagnosis wants of a report at admission.
func ArrivalOf(r *penstock.Report, admitted int64, reason penstock.Reason) Arrival {
	return Arrival{
		Controller: r.Controller, Identity: r.Identity, SourceTime: liveTime(r), Received: r.ReceivedTime, Admitted: admitted, Reason: reason,
	}
}

// HopsOf returns when a report that was settled passed each stage.
func HopsOf(r *penstock.Report, stored int64) Hops {
	return Hops{Identity: r.Identity, Source: liveTime(r), Received: r.ReceivedTime, Accepted: r.AcceptedTime, Stored: stored}
}

// liveTime returns the newest time of the report that a controller's clock gave to
// a sample which was not kept back, 0 for none.
func liveTime(r *penstock.Report) (newest int64) {
	for i := range r.Samples {
		if s := &r.Samples[i]; s.Flags&(penstock.GatewayClock|penstock.Historical) == 0 {
			newest = max(newest, s.SourceTime)
		}
	}
	return newest
}
