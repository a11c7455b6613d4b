// Package head is how the historian keeps samples that are in no chunk yet: rows
// in blocks in memory, and the same rows in the journal on disk.
package head
