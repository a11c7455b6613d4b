// Package fleet knows who may send and what: the credentials, the controllers
// and their points.
//
// Credentials and what a person decides are written to a [Table] before a call
// returns. Controllers that registered themselves are kept in memory and written
// by [Fleet.Flush], so that no report ever waits for the table; what a crash
// takes from it comes back with the next report. Points are kept in memory only:
// their durable form is the historian's catalogue of series, from which the
// composition root teaches them at the start with [Fleet.LearnPoint].
package fleet
