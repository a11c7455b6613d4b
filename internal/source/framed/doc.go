// Package framed takes frames from devices that speak no protocol of ours, over
// serial lines, TCP and UDP. How frames are told is [framing]; what stands in them
// a declared mapping says.
//
// An answer, where the configuration gives one, is sent to a frame only after its
// reports are durable, refused, or known to be a duplicate; where nothing could be
// decided, the device is told to send again, or hears nothing. On a stream without
// answers nothing further is read until the frame is durable, so that TCP and the
// buffers before it hold the device back; what a serial line's buffer then loses is
// counted as overrun. A datagram without an answer is lost when the spool has no
// room. The identity of a report is what the mapping declares: without a sequence
// or a key in the frame, a frame that is sent again is told from a new one by the
// times in it alone.
package framed
