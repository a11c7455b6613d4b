// Package drain measures an outage of the record from its beginning to its end: a
// gateway whose record is a PostgreSQL of its own, a fleet that goes on reporting, the
// reports of an hour that come in while the database is down, and the time that it
// takes to deliver them once it is back.
package drain
