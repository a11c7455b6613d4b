// Package segment is the format of a segment of the spool: a header that stands
// twice, and sealed frames that begin on sectors. It encodes them, finds them
// again among rot, and judges where the log ends. DESIGN.md of package spool
// has the format as tables, and why it is so.
package segment
