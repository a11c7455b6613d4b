// Package penstock is the domain of the gateway: what a report is, who may
// send it, what the gateway answers, and the contracts that sources, sinks and
// the pipeline between them keep. It imports the standard library only.
//
// # The promise
//
// Nothing acknowledged is lost: a [Verdict] of [Accepted] is given only after
// the fsync that covers the report. Nothing is stored twice: a resend is a
// [Duplicate] for ever where the identity is a sequence. The books balance: for
// each controller, received = accepted + duplicate + rejected.
//
// # Words
//
// A controller sends reports. A [Report] is a set of samples with one
// [Identity]; it is the unit of acknowledgement, de-duplication and accounting.
// A [Sample] is one value of one point at the controller's own time. An
// [Envelope] is what a source received before it is a report. A [Source] brings
// envelopes in, a [Sink] takes reports out; the one sink that is the system of
// record moves the committed watermark.
package penstock
