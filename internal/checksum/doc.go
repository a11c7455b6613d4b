// Package checksum knows the checksums of field protocols by name: the CRCs by
// their Rocksoft parameters, sums, and none.
//
// Most CRC faults of a new installation are no faults of the cable: the sender
// computes another CRC than the receiver, or the right one in the other byte
// order or over other bytes. [Algorithm.Variant] names that.
package checksum
