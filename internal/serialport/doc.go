// Package serialport opens serial lines as a gateway needs them: raw bytes in
// and out, deadlines, the marks that the driver puts beside bytes with a wrong
// parity or stop bit, the driver's error counters, RS-485 direction, and the
// device to ourselves. It works on the kernel's terminal interface of Linux.
//
// A line reports three kinds of trouble. A byte that came damaged is delivered
// as it came, because a frame needs its length, and counted in [Marks]. A break
// is counted and delivers nothing. What the driver counts by itself is in
// [Counters], where the driver counts at all: none is not zero.
package serialport
