// Package tracing follows some envelopes on their way, step by step until their
// reports are in the record, and tells a collector of traces (OpenTelemetry, OTLP
// over HTTP). Which ones: a share of all, and those whose sender asks for it with
// the header or property "traceparent" of the W3C.
//
// Nothing waits for the collector. What it does not take in time is dropped, and
// counted.
package tracing
