// Package fanout gives published messages to those who subscribed to them and
// may have them. A publisher never waits for a subscriber: what waits for one is
// bounded, and when it is full the oldest message goes and is counted. Everything
// is in memory: durable is what the pipeline took, and that is not here.
package fanout
