// Package diagnose says where a fault is: on the physical way, in a controller,
// in the network, in the gateway itself, in its store or in its configuration;
// or between which two it cannot tell.
//
// It does no I/O and has no clock. A [Watch] is told of every report as it comes
// and as it is settled, and from time to time of everything else that is known
// ([Facts]). From that it keeps a short history of each controller and each port,
// and judges: observations are what can be seen, each a sentence with figures and
// with what it speaks for and against; the rules, in their order, say which cause
// that makes; how well both agree is the confidence.
package diagnose
