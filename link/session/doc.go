// Package session runs the two ends of the link protocol: a [Sender] in the
// controller and a [Receiver] in the gateway. Both are state machines without
// clock, goroutine or I/O: their owner gives them frames and the time, and does
// what they ask for. So the same code runs in the gateway, in programs at the
// edge, and under a simulated network in virtual time.
//
// What is guaranteed stands in docs/link-protocol.md. An ack leaves a Receiver only
// for what its owner reported as judged, and a Sender lets a report be forgotten
// only at or below the committed mark.
package session
