// Package spool is the durable log of a node: opaque entries go in, durable
// positions come out.
//
// Entries that wait together go out in one write and one fsync, sealed, into
// segments that are zero-filled ahead. A position is told only after the fsync
// of its bytes and of the directory entry that names their file. After a crash,
// a failed write, a full disk or rot the log starts with all it ever
// acknowledged, or says what is missing, or refuses with a reason; it deletes
// nothing because it cannot read it.
//
// DESIGN.md beside this file has the format byte by byte, what is assumed of
// the file system, and why each step is safe to crash in.
package spool
