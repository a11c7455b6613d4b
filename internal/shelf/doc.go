// Package shelf keeps what a sink has on this node's disk: its place in the spool,
// whether it is paused, its books, and its quarantine. A sink that keeps its place
// itself, in its own store, has its place here too, as far as it was known last.
//
// # On disk
//
// A key is the shelf's own first byte, a digest of the sink's name (8 bytes), a byte
// that says what stands there, and in the quarantine the number (8, big endian).
package shelf
