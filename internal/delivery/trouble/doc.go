// Package trouble judges failures of a sink: when it is tried again, whether the
// destination or a report is at fault, and which report that is.
package trouble
