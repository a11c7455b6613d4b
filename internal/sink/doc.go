// Package sink feeds sinks from the spool. The [Runner] holds once what every
// sink needs: its place in the log, batching, retry with back-off, and the word
// to those who watch. A sink itself only writes.
package sink
