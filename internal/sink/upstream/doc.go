// Package upstream is the sink that hands reports on to another Penstock: a gateway at
// a substation to the one at the centre, over its HTTPS API.
//
// # What is guaranteed
//
// A report counts as written when the centre's record has settled it, and not when the
// centre has merely accepted it: POST /v1/reports with wait=committed answers so. Until
// then it stays in the spool here. What is accepted there and not settled in time, what
// the centre refuses for now (429, 503), and what was under way when the connection
// broke is sent again, and is a duplicate there if it had come.
//
// # Identity
//
// Controller, epoch and seq, key, or point and time of a report stay as they are, so
// that a report that comes to the centre twice, on whatever way, is stored once. Its
// content stays too: the samples go as they were accepted here, bit for bit, none is
// marked as historical because it waited, and the time when this gateway received it
// goes with it. A resend must be equal to what was sent before, or the centre would
// take it for a conflict.
//
// What this gateway refused or filtered goes as an empty report, so that the sequence of
// a controller has no holes at the centre but those that it has here.
//
// # Refusals
//
// What the centre refuses of one report, for its content or because the token does not
// cover its controller, is that report's own affair: it goes to quarantine here with the
// centre's reason, and the others go on. A request that is refused as a whole, because
// the token is not known or the certificate is another one, is the sink's trouble, which
// waits for a person.
package upstream
