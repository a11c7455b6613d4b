// Package mongo is the sink that keeps reports in MongoDB, as the system of record or
// beside it. Many gateways may share one database.
//
// # What is guaranteed
//
// A report is one document: its samples, or the whole report while it is in
// quarantine, and which gateway's entry of the spool brought it. The document's _id
// is the identity of the report, and the server takes an _id once. So the write of
// that document decides, on every kind of server, whether a report is new, and no
// crash and no second gateway can leave a half of one behind. A report without a
// sequence and without a key is one document a sample, with point and time in its _id.
//
// Nothing spans documents but an order, so no transaction is needed. A batch is written
// in this order, each step durable (w: majority, journal) before the next:
//
//  1. the reports, all at once, in any order;
//  2. the sets of settled sequence numbers of their controllers and epochs;
//  3. what was not plainly stored, by position;
//  4. the gateway's place in its spool.
//
// The place is what commits the batch: it moves only when nobody else moved it, by a
// counter that it carries. After an error [Record.Resume] reads it; what the batch wrote
// before is found again by the document's own gateway and position when the batch
// comes again, and answered as it would have been the first time.
//
// A sequence is told by its number for ever: the sets are never dropped. A key is told
// as long as the document of its report, whose newest sample is not older than the
// retention, and a natural identity as long as the sample itself.
//
// # How
//
// Each gateway writes settled sets of its own, of all that it knows of an epoch; what is
// settled is their union. So two gateways never write one document, and nothing is
// lost between reading and writing.
//
// Reads are of what a majority has (readConcern majority), so that no failover takes
// back what a decision was made upon.
package mongo
