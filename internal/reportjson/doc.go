// Package reportjson reads and writes reports in JSON. A report is an object:
//
//	{"controller":"pump-17","epoch":1,"seq":1,"samples":[
//	  {"point":"flow","time":"2026-11-22T06:00:00.123456789Z","value":12.5,"status":"Good"}]}
//
// A body is one report, an array of reports, or one report a line (NDJSON).
// "key" stands in place of epoch and seq; with neither, the report's identity is
// natural. "unit", "status", "native" and "historical" may be left out of a
// sample, and "time" where the controller has no clock: see [Decoder].
//
// The reader is strict, because what it lets pass is stored for ever: a key that
// is unknown, comes twice or differs in case, bytes after the end, bad UTF-8 and
// numbers that do not fit are errors, and nothing is guessed. It is written for
// this one shape, without recursion: that makes it about seven times as fast as
// the standard library's, and no input can make it go deep.
package reportjson
