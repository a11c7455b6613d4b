// Package render writes the domain as the HTTP API shows it: results of reports,
// values, times and series, in JSON, NDJSON and CSV. It appends to buffers of
// the caller and allocates nothing.
package render
