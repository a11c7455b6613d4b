// Package modbus polls Modbus devices: over TCP, over serial lines in RTU
// framing, and over TCP streams that carry RTU frames.
//
// # What is guaranteed
//
// A device has no sequence, no clock and no memory of what it was asked. So the
// gateway gives each reading its identity: (controller, point, slot), where the
// slot is the nominal time of the poll, a whole multiple of the group's interval
// since 1970. It is the sample's source time, marked as the gateway's clock. Two
// nodes that poll the same slot store one reading. What changed and changed back
// between two polls is never seen.
//
// A reading is held in memory until the spool has it; while the spool takes
// nothing, readings wait, the oldest is dropped when there are too many, and
// the gap is counted. A stop of the process loses what waits.
//
// An answer is never taken for the answer to another request: see package wire.
//
// # What a device in trouble does
//
// A point that could not be read gets one sample without value, at the slot in
// which that began; then nothing comes until it can be read again. So the latest
// sample says that there is no value, and since when. A device that fails again
// and again is not polled but probed, in the time that the others leave, later
// each time. What could be read of a device is kept when the rest could not.
//
// Lines share nothing. A line whose connection is gone keeps its slots: a
// missing line is a fact about every device on it, so Run opens it again itself,
// with back-off, and does not end.
package modbus
