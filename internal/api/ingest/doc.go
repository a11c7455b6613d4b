// Package ingest takes reports in at POST /v1/reports: one document, or NDJSON
// of any length in parts. It hands them to the pipeline and answers when the
// tickets resolved.
//
// # Promises
//
// A result of accepted or duplicate is given only after the ticket of the report
// resolved so. When a request ends before its ticket, or is answered with
// status 500 or 503, nothing is promised: the sender sends again, and reports
// with an identity are not stored twice.
package ingest
