// Package framing cuts a stream of bytes into frames, as devices send them that
// know no protocol of ours: ended by a delimiter, told by a length, of one size,
// between two marks, or in SLIP or COBS. It does no input or output, keeps at
// most one frame and what was fed at once, and needs no time: a pause on the line
// is a hint ([Framer.Idle]) that can find a frame earlier, never lose one.
//
// After damage it looks for the next frame at every byte, inside of what failed
// too. Where a frame has a checksum, no good frame behind noise is lost; without
// one, or where a mark itself was damaged, at most the next.
package framing
