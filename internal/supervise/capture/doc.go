// Package capture takes what programs print, a line at a time and with a severity
// each, and brings it where the operator reads it: a stream, files that rotate,
// syslog or the journal. It never holds a program up: what cannot be written in
// time is counted and said.
package capture
