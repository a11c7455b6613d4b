// Package bodies makes what the generators of the benchmarks send.
package bodies
