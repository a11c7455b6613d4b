// Package point knows what a point is: what is declared of it, what its values
// taught, and which values fit it. It is pure: no memory of its own, no clock, no
// I/O.
package point
