// Package delivery feeds the sinks from the spool, once for all kinds: a place in the
// log each, batches by size and age, trying again with back-off, new reports before a
// backlog, quarantine of what a sink refuses, and the word to those who watch. Each
// sink has a goroutine and a reader of its own, so that its trouble stays its own.
package delivery
