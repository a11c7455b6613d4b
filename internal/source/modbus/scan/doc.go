// Package scan finds Modbus devices: which units answer on a line and at which
// speed, which of their registers can be read, and in what order the words of a
// float probably stand. What it finds it writes as configuration. It only reads.
//
// What it proposes about values is a guess from one look at them: a person who
// knows the device decides.
package scan
