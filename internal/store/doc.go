// Package store is Pebble opened the way Penstock needs it: every value is
// sealed, no name stands in a key, memory is small and bounded, and a failed
// write is final.
//
// # A failed write is final
//
// Pebble treats a failed write of its log or manifest as fatal: it calls its
// logger's Fatalf and counts on the process ending there. If Fatalf returned, the
// failed commit would look like a good one. Penstock must stay up, because the
// spool still takes reports, so Fatalf marks the store dead and parks the
// goroutine that called it for ever.
//
// Parking and not runtime.Goexit, because Goexit runs the deferred calls of all
// frames: Pebble's unlocks among them, and other goroutines would go on with
// state that was given up half way, which is what Fatalf is there to prevent. A
// parked goroutine keeps its locks, so everything behind them stands still too.
// Therefore no goroutine of a caller ever enters Pebble: each call runs in one of
// the store's own, and its caller waits for its end or for the store's death,
// whichever comes first. What is parked is lost until the process ends, and so
// is the lock of the directory: a dead store is mended by a restart.
//
// After death every call fails at once with code Unavailable. A commit that was
// under way may be on disk or not, and is told as failed.
//
// # On disk
//
// The first byte of a key says whose it is: 0 the store itself, 1 tables, from
// [FirstFree] on the packages that use keys of their own, which hold numbers and
// digests only. A value is the number of its stream (uvarint), the number of the
// message in the stream (uvarint), and the message sealed with the key as its
// associated data, so that values cannot change places. Each opening makes a
// stream of its own; its header is durable before the first value is sealed with
// it, so that no number is ever used twice under one key.
package store
