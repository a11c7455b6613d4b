// Package wire is the packets of MQTT 3.1.1 and 5 as a server reads and writes
// them, and as its tests and generators do.
//
// Nothing is allocated on a sender's word: a packet's length is held against the
// limit first, and memory grows with the bytes that have come. Decoding is strict:
// a property twice, one that does not belong there, a length that reaches into the
// next field, bytes left over, and text that is not UTF-8 are errors, each with
// the reason code that the protocol has for it. What a packet holds are strings of
// its own and slices of the packet's bytes, which nobody else uses.
package wire
