// Package pgtest runs a real PostgreSQL for tests: in a directory of its own, on
// loopback, and stopped, killed or taken back to an older copy of its data as a
// test wants it. Only tests and benchmarks import it.
package pgtest
