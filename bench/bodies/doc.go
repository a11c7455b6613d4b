// Package bodies makes what the generators of the benchmarks send.
package bodies

// A Maker appends the next request's body to dst. It belongs to one connection.
type Maker func(dst []byte) []byte
