// Package lifecycle decides what is done with the processes of one instance of a
// program: when they are started, replaced, stopped, killed and given up. It is a
// pure state machine: events in, actions out, no clock, no process and no
// goroutine of its own.
//
// An instance has one main process. While it is replaced there is a successor
// beside it, and those that were told to end leave in their own time.
package lifecycle
