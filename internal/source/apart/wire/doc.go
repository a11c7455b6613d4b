// Package wire is what the two processes of a source apart say to each other:
// frames over a pair of sockets, and files that go along with them. Both ends are
// the same build of the same program, so there are no versions: see [Build].
package wire
