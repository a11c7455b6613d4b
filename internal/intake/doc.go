// Package intake joins the ledger to the spool: it admits judged reports, waits
// with the rest of their group for one write and one fsync, and then answers.
// It is the only place where a report becomes accepted.
package intake
