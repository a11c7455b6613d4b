// Package ledger knows which identities are settled and keeps the books. It is a
// pure state machine: no I/O, no clock, no randomness, no goroutine. Everything
// durable about it is a fold of the entries in the spool, live and after a
// restart by the same code.
//
// A report is first claimed ([Ledger.Claim]), which tells what it would be:
// new, a duplicate, a conflict, or one gap too many. A claim holds nothing but
// memory. When the spool has made the entry durable, [Ledger.Apply] folds it in;
// when it could not, [Ledger.Release] takes the claim back. What the record then
// did with a report comes in through [Ledger.Settle].
//
// For each epoch of a controller three sets of sequence numbers are kept:
//
//   - accepted: durable in the spool now or once. A number in it is a duplicate.
//   - filled: accepted, or known to come never (refused, lost). Its contiguous
//     part is the accepted mark.
//   - closed: settled in the record, or known to come never. Its contiguous part
//     is the committed watermark, which never goes back.
package ledger
