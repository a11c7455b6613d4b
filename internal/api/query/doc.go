// Package query answers what people and programs ask: samples of a range of
// time, the newest ones, the books, and the stream of what is settled now.
// Answers with samples are streamed in JSON, NDJSON or CSV and never stand in
// memory as a whole; one that a limit cut says where it goes on.
package query
