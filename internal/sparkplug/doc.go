// Package sparkplug reads and writes Sparkplug B (version 3.0 of the specification):
// a [Host] follows the births and deaths of edge nodes and devices and turns their
// metrics into reports, an [Edge] is such an edge node. They do no I/O: they are given
// messages, reports and the time, and say what was decided, or what to publish.
//
// # What is guaranteed
//
// Sparkplug B publishes births and data at QoS 0: at most once, by its
// specification. Between the edge node and the spool a message can be lost, and
// nobody sends it again, unless the edge node stores and forwards by itself, with
// is_historical set. What is missing is counted from the sequence numbers,
// where fewer than 256 are missing in a row. A rebirth brings back the names and
// the present values, not the missing ones.
//
// The aliases of metrics are known from births alone. A gateway that starts
// later than an edge node cannot read its data until the next birth. It asks for
// one, with the command Node Control/Rebirth, where the configuration allows that
// by the edge node's name; without leave it sends no command to anybody.
//
// # Identity
//
// Sequence numbers have eight bits, wrap, and begin anew with every birth, and
// bdSeq wraps too, so they cannot tell reports apart for longer than minutes.
// The identity is the natural one: controller, point and the metric's own time. A
// metric that is sent twice is one sample. The time has milliseconds: of two
// different values of one metric in one millisecond the first is kept, and the
// second is a conflict that the books show. Metrics without a time of their own
// have that of their message, and without one the gateway's.
//
// # What becomes of what
//
//   - Controllers are edge nodes ("group:node") and devices
//     ("group:node:device"); a metric is a point. bdSeq, Node Control/… and
//     Device Control/… are not points.
//   - Int8 to Int64 become int64, UInt8 to UInt64 and DateTime (milliseconds
//     since 1970) uint64, Float and Double float64, Boolean bool, String, Text and
//     UUID text. Unsigned numbers are taken from long_value and int_value alike,
//     negative ones as two's complement of any width: senders differ.
//   - DataSet, Template, Bytes, File and arrays are no values of a point. They are
//     left out and counted. Compressed payloads are refused whole.
//   - The property Quality gives the status: 192 good, 0 bad, 500 uncertain (the
//     last value before the connection was lost). A null has no value and a bad
//     status. Metrics marked transient are not stored, as the specification asks.
//   - A death gives each point of what died one sample without a value and with the
//     status BadNoCommunication. A death of another session, by its bdSeq, is
//     ignored.
//   - A message that comes before its turn is held until the missing ones come, or
//     for a short time; then the gap is counted and it is read. Data older than the
//     birth that gave the aliases is read only where it names its metrics.
package sparkplug
