// Package evidence keeps what happened on the way of the reports: a page for
// each port (a serial line, a listener, a connection to a broker) and one for
// each controller, with counts, the signal as it was told, and the bytes of the
// last frames that were bad.
//
// The ledger's books say what became of reports; evidence says what a link did
// to frames, so that a person, or the diagnosis, can tell the cable from the
// controller. It is kept in memory and begins anew with the process: counts
// are compared over time, and an empty count says nothing of yesterday.
package evidence
