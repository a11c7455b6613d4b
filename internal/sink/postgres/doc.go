// Package postgres is the sink that keeps reports in PostgreSQL, as the system of
// record or beside it. Many gateways may share one database.
//
// # What is guaranteed
//
// A batch is one transaction: samples, the identities that are thereby settled, and
// the place in the gateway's spool. Whoever settles reports of a controller holds
// the lock of its row, so that two gateways that are given the same report store
// it once. What became of a COMMIT whose answer was lost is read from the same
// rows afterwards; nothing is guessed.
//
// A sequence is told by its number for ever: the sets of settled numbers stand
// outside of the partitions and are never dropped. A key is told as long as the
// newest sample of its report is kept, and a natural identity as long as the
// sample itself.
//
// A report that can never be stored goes to the table quarantine in the same
// transaction. When the database itself refuses something, for instance by a
// constraint that somebody added, the batch is halved until the report is found.
//
// # How
//
// The identities of a batch are read and judged first, and then only what is new is
// copied, straight into its partitions: there is no staging table, because by then
// no row can collide. What a connection must know stands in the transaction, and no
// statement is prepared by name, so that PgBouncer may stand between in
// transaction mode.
//
// Values keep all their bits: those of float64 as double precision, those of all
// other numbers as bigint, uint64 as two's complement. Times keep their
// nanoseconds, those below a microsecond in a column beside. A text with the
// character U+0000, which PostgreSQL cannot keep, goes to quarantine.
package postgres
