// Package sheet writes controllers and their points as CSV (RFC 4180) and reads
// them back: a header, then a row for each point, and one for each controller
// without points. What is written and read again is the same to the byte.
package sheet
