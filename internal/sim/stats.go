package sim

import "sync/atomic"

// Stats counts what a fleet did. Reports are distinct; messages are what was
// put on the wire, with every resend and copy.
type Stats struct {
	Reports   int64 // reports that were sent at least once
	Messages  int64 // messages put on the wire
	Accepted  int64 // reports acknowledged, by an answer of accepted or duplicate
	Duplicate int64 // answers of duplicate
	Rejected  int64 // reports that the gateway said it will never store

	Lost            int64 // tries that never left, or whose answer was thrown away
	Copies          int64 // copies sent on purpose
	Held            int64 // reports held back behind later ones
	Corrupted       int64 // damaged messages put on the wire
	CorruptRefused  int64 // of these, refused because of it
	CorruptAccepted int64 // of these, taken for good: the checksum did not do its work

	Retries int64 // tries after the first
	Unknown int64 // messages that got no answer: refused connections, timeouts, a gateway that died
	Busy    int64 // answers that asked to try again later
}

// counters are the Stats while a fleet runs.
type counters struct {
	reports, messages, accepted, duplicate, rejected atomic.Int64
	lost, copies, held                               atomic.Int64
	corrupted, corruptRefused, corruptAccepted       atomic.Int64
	retries, unknown, busy                           atomic.Int64
}

func (c *counters) snapshot() Stats {
	return Stats{
		Reports: c.reports.Load(), Messages: c.messages.Load(), Accepted: c.accepted.Load(),
		Duplicate: c.duplicate.Load(), Rejected: c.rejected.Load(),
		Lost: c.lost.Load(), Copies: c.copies.Load(), Held: c.held.Load(),
		Corrupted: c.corrupted.Load(), CorruptRefused: c.corruptRefused.Load(), CorruptAccepted: c.corruptAccepted.Load(),
		Retries: c.retries.Load(), Unknown: c.unknown.Load(), Busy: c.busy.Load(),
	}
}
