// Package merge reads the samples of one series in order from wherever they
// stand: chunks that may overlap, and the head.
package merge
