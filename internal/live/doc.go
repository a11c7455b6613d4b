// Package live is the feed of settled reports for people who watch: a bounded
// ring that a publisher fills and any number of subscriptions read, each at its
// own pace. Publishing never waits for a reader; a reader that is too slow is
// told how many reports it missed.
package live
