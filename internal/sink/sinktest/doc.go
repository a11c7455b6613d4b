// Package sinktest is the conformance suite of sinks. [RunSink] holds an adapter
// against what [penstock.Sink] promises, [RunRecord] against what
// [penstock.Record] does, each with failures injected. [Store] and [Destination]
// are references in memory, which pass the suite and stand in for real ones in
// tests of what uses sinks.
package sinktest
