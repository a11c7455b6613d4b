// Package schema makes and keeps the tables that Penstock has in a PostgreSQL
// database: it migrates them, and it makes and drops the partitions of the
// samples.
package schema
