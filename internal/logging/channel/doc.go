// Package channel carries lines to a place that may be slow, full or away: it
// queues what fits, drops and counts the rest, and connects again by itself. Who
// writes never waits.
package channel
