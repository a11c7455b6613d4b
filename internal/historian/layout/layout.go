// Package layout is where things stand in the historian's part of the store: rows
// and their keys, days, and the fields of values.
package layout

import (
	"encoding/binary"
	"math"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/store"
)

// Row is the second byte of a key, behind the historian's own: it says what
// stands there. All numbers in keys are big endian, so that keys sort as what
// they mean.
type Row byte

// The rows and what follows in their keys.
const (
	Meta       Row = 'm' // what is settled, and the next numbers
	Batch      Row = 'b' // number (8): one Settle, until its samples are in chunks
	Controller Row = 'c' // controller (4): its name
	Series     Row = 's' // controller (4), point (4): name, unit, kind
	Settled    Row = 'e' // controller (4), epoch (8): settled set
	Counters   Row = 'n' // controller (4)
	Latest     Row = 'l' // controller (4): the newest sample of each point
	Key        Row = 'k' // digest (16) of controller and key: fingerprint, day
	KeyDay     Row = 'K' // day (4), digest (16): the same keys by day, for retention
	Answer     Row = 'a' // position (8): a settlement that is not plainly Stored
	Quarantine Row = 'q' // number (8): a report and why it was refused
	Numbers    Row = 'Q' // the next number of the quarantine, once a report has left it
	Flushes    Row = 'd' // day (4): flushes into the day since it was compacted
	Chunk      Row = 't' // day (4), series (8), start (6), end (6), flush (5), ordinal (3)

	// Rollup is kept for rollups, which are not written yet: resolution (1: a
	// minute, 2: an hour), day (4), series (8), start (6); the value has a column
	// each of min, max, sum, count, last and worst status.
	Rollup Row = 'r'
)

// First returns the key before all of the row's.
func (r Row) First() []byte { return []byte{store.FirstFree, byte(r)} }

// End returns the key behind all of the row's.
func (r Row) End() []byte { return []byte{store.FirstFree, byte(r) + 1} }

// Of4 returns the key with a number of 4 bytes.
func (r Row) Of4(n uint32) []byte { return binary.BigEndian.AppendUint32(r.First(), n) }

// Of8 returns the key with a number of 8 bytes.
func (r Row) Of8(n uint64) []byte { return binary.BigEndian.AppendUint64(r.First(), n) }

// OfDay returns the key with a day.
func (r Row) OfDay(d Day) []byte { return r.Of4(d.Sortable()) }

// OfDigest returns the key with a digest.
func (r Row) OfDigest(digest [store.DigestSize]byte) []byte { return append(r.First(), digest[:]...) }

// SettledKey returns the key of the settled set of a controller and epoch.
func SettledKey(controller uint32, epoch uint64) []byte {
	return binary.BigEndian.AppendUint64(Settled.Of4(controller), epoch)
}

// KeyOfDay returns the key under which an idempotency key stands by its day.
func KeyOfDay(d Day, digest [store.DigestSize]byte) []byte {
	return append(KeyDay.OfDay(d), digest[:]...)
}

// DigestOf returns the digest in a [KeyOfDay].
func DigestOf(key []byte) (digest [store.DigestSize]byte) {
	copy(digest[:], key[min(len(key), 2+4):])
	return digest
}

// SeriesID is the number of a series: its controller's in the upper half, the
// point's in the lower. It never changes and is never used twice.
type SeriesID uint64

// NewSeriesID returns the id of a controller's point.
func NewSeriesID(controller, point uint32) SeriesID {
	return SeriesID(controller)<<32 | SeriesID(point)
}

// Split returns the numbers of controller and point.
func (id SeriesID) Split() (controller, point uint32) { return uint32(id >> 32), uint32(id) }

// nanosecondsPerDay is the length of a day of chunks.
const nanosecondsPerDay = 24 * 60 * 60 * 1_000_000_000

// Day is a day in UTC, counted from 1970-01-01; earlier days are negative.
type Day int32

// DayOf returns the day of a time in nanoseconds since 1970 UTC.
func DayOf(t int64) Day {
	d := t / nanosecondsPerDay
	if t%nanosecondsPerDay < 0 {
		d--
	}
	return Day(d)
}

// Start returns the first nanosecond of the day. The first and the last day that
// int64 has a part of begin or end with it.
func (d Day) Start() int64 {
	if int64(d) <= math.MinInt64/nanosecondsPerDay-1 {
		return math.MinInt64
	}
	return int64(d) * nanosecondsPerDay
}

// Last returns the last nanosecond of the day.
func (d Day) Last() int64 {
	if int64(d) >= math.MaxInt64/nanosecondsPerDay {
		return math.MaxInt64
	}
	return (d + 1).Start() - 1
}

// since returns how far into the day a time of it is.
func (d Day) since(t int64) uint64 { return uint64(t) - uint64(int64(d)*nanosecondsPerDay) }

// Sortable returns the day as a number that sorts like it.
func (d Day) Sortable() uint32 { return uint32(d) ^ 1<<31 }

// ParseDay is the inverse of [Day.Sortable].
func ParseDay(n uint32) Day { return Day(n ^ 1<<31) }

// Parts of a chunk's key.
const (
	chunkSeriesAt = 2 + 4
	chunkStartAt  = chunkSeriesAt + 8
	chunkEndAt    = chunkStartAt + 6
	chunkFlushAt  = chunkEndAt + 6
	chunkSize     = chunkFlushAt + 5 + 3
)

// ChunkKey is where a chunk stands. Chunks of one series and day may overlap: a
// later flush is the later one among samples of the same time.
type ChunkKey struct {
	Day     Day
	Series  SeriesID
	Start   int64 // time of the first sample
	End     int64 // time of the last
	Flush   uint64
	Ordinal uint32 // among the chunks of a series and day in one flush
}

// Bytes returns the key as it stands in the store.
func (k ChunkKey) Bytes() []byte {
	dst := ChunkPrefix(k.Day, k.Series)
	dst = appendUint(dst, k.Day.since(k.Start), 6)
	dst = appendUint(dst, k.Day.since(k.End), 6)
	dst = appendUint(dst, k.Flush, 5)
	return appendUint(dst, uint64(k.Ordinal), 3)
}

// ParseChunkKey is the inverse of [ChunkKey.Bytes].
func ParseChunkKey(b []byte) (k ChunkKey, ok bool) {
	if len(b) != chunkSize || b[1] != byte(Chunk) {
		return k, false
	}
	k.Day = ParseDay(binary.BigEndian.Uint32(b[2:]))
	k.Series = SeriesID(binary.BigEndian.Uint64(b[chunkSeriesAt:]))
	midnight := uint64(int64(k.Day) * nanosecondsPerDay)
	k.Start = int64(midnight + readUint(b[chunkStartAt:chunkEndAt]))
	k.End = int64(midnight + readUint(b[chunkEndAt:chunkFlushAt]))
	k.Flush = readUint(b[chunkFlushAt : chunkFlushAt+5])
	k.Ordinal = uint32(readUint(b[chunkFlushAt+5:]))
	return k, true
}

// ChunkPrefix is the start of the keys of a series and day.
func ChunkPrefix(d Day, id SeriesID) []byte {
	return binary.BigEndian.AppendUint64(Chunk.OfDay(d), uint64(id))
}

func appendUint(dst []byte, v uint64, size int) []byte {
	for i := size - 1; i >= 0; i-- {
		dst = append(dst, byte(v>>(8*i)))
	}
	return dst
}

func readUint(b []byte) uint64 {
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

// Damaged returns the error of rows that cannot be read. It has code [penstock.Corrupt].
func Damaged(what string) error {
	return penstock.Errorf(penstock.Corrupt, "the historian's %s are damaged: restore the store from a backup", what)
}
