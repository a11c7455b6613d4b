// Package wire asks Modbus devices: requests and answers over TCP, and over
// serial lines or streams in RTU framing. It reads only; it cannot write.
//
// Its one promise is that an answer belongs to its request. Over TCP that is the
// transaction's number. RTU has none: before each request the line must be
// quiet, what still comes then is thrown away and counted as late, and an answer
// must have the unit, the function, the length and the checksum that were asked
// for. A frame is found by these, never by the pauses in it.
package wire
