// Package historian is the embedded record: it decides which reports are
// settled, keeps their samples, and answers queries. DESIGN.md beside this file
// has the layout on disk and why a crash loses and doubles nothing.
package historian
