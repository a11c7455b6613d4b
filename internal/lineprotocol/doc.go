// Package lineprotocol turns InfluxDB's line protocol into reports: each field of
// a line becomes a sample. Which controller and which point it is, templates say,
// because a line has tags and no such names:
//
//	controller: "{host}"
//	point: "{measurement}/{field}"
//
// A name in braces stands for the value of that tag, {measurement} and {field}
// for those of the line; {site|host} is the first of the two that the line has.
//
// The protocol has no identity: a sample is told from others by its controller,
// point and time (the natural identity), so that a resend of a line with a time
// is a duplicate. A line without a time gets the gateway's, and a resend of it
// is another sample. The lines of a body that are about one controller become one
// report; a line that cannot be used is refused alone.
package lineprotocol
