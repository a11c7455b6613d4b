// Package reading reads the spool for a sink: loads from some position on, what stands
// at positions that are settled already, and the position of a time.
package reading
