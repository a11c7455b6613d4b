package historian

import (
	"encoding/binary"
	"math"

	"github.com/penstock/penstock/internal/store"
)

// Keys start with the historian's own byte and one that says what the row is.
// All numbers are big endian, so that keys sort as what they mean.
const (
	space = store.FirstFree

	rowMeta       = 'm' // what is settled, and the next numbers
	rowBatch      = 'b' // number (8): one Settle, until its samples are in chunks
	rowController = 'c' // controller (4): its name
	rowSeries     = 's' // controller (4), point (4): name, unit, kind
	rowSettled    = 'e' // controller (4), epoch (8): settled set
	rowCounters   = 'n' // controller (4)
	rowLatest     = 'l' // controller (4): the newest sample of each point
	rowKey        = 'k' // digest (16) of controller and key: fingerprint, day
	rowKeyDay     = 'K' // day (4), digest (16): the same keys by day, for retention
	rowAnswer     = 'a' // position (8): a settlement that is not plainly Stored
	rowQuarantine = 'q' // number (8): a report and why it was refused
	rowDay        = 'd' // day (4): flushes into the day since it was compacted
	rowChunk      = 't' // day (4), series (8), start (6), end (6), flush (5), ordinal (3)

	// rowRollup is kept for rollups, which are not written yet: resolution (1: a
	// minute, 2: an hour), day (4), series (8), start (6); the value has a column
	// each of min, max, sum, count, last and worst status.
	rowRollup = 'r'
)

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

// start returns the first nanosecond of the day. The first and the last day that
// int64 has a part of begin or end with it.
func (d Day) start() int64 {
	if int64(d) <= math.MinInt64/nanosecondsPerDay-1 {
		return math.MinInt64
	}
	return int64(d) * nanosecondsPerDay
}

// last returns the last nanosecond of the day.
func (d Day) last() int64 {
	if int64(d) >= math.MaxInt64/nanosecondsPerDay {
		return math.MaxInt64
	}
	return (d + 1).start() - 1
}

// since returns how far into the day a time of it is.
func (d Day) since(t int64) uint64 { return uint64(t) - uint64(int64(d)*nanosecondsPerDay) }

// sortable returns the day as a number that sorts like it.
func (d Day) sortable() uint32 { return uint32(d) ^ 1<<31 }

func row(kind byte) []byte { return []byte{space, kind} }

func row4(kind byte, n uint32) []byte { return binary.BigEndian.AppendUint32(row(kind), n) }

func row8(kind byte, n uint64) []byte { return binary.BigEndian.AppendUint64(row(kind), n) }

func dayRow(kind byte, d Day) []byte { return row4(kind, d.sortable()) }

func seriesRow(id SeriesID) []byte { return row8(rowSeries, uint64(id)) }

func settledRow(k setKey) []byte {
	return binary.BigEndian.AppendUint64(row4(rowSettled, k.controller), k.epoch)
}

func keyDayRow(d Day, digest [store.DigestSize]byte) []byte {
	return append(dayRow(rowKeyDay, d), digest[:]...)
}

// Parts of a chunk's key.
const (
	chunkSeriesAt = 2 + 4
	chunkStartAt  = chunkSeriesAt + 8
	chunkEndAt    = chunkStartAt + 6
	chunkFlushAt  = chunkEndAt + 6
	chunkSize     = chunkFlushAt + 5 + 3
)

// chunkKey is where a chunk stands. Chunks of one series and day may overlap: a
// later flush is the later one among samples of the same time.
type chunkKey struct {
	day     Day
	series  SeriesID
	start   int64 // time of the first sample
	end     int64 // time of the last
	flush   uint64
	ordinal uint32 // among the chunks of a series and day in one flush
}

func (k chunkKey) append(dst []byte) []byte {
	dst = append(dst, space, rowChunk)
	dst = binary.BigEndian.AppendUint32(dst, k.day.sortable())
	dst = binary.BigEndian.AppendUint64(dst, uint64(k.series))
	dst = appendUint(dst, k.day.since(k.start), 6)
	dst = appendUint(dst, k.day.since(k.end), 6)
	dst = appendUint(dst, k.flush, 5)
	return appendUint(dst, uint64(k.ordinal), 3)
}

func parseChunkKey(b []byte) (k chunkKey, ok bool) {
	if len(b) != chunkSize || b[1] != rowChunk {
		return k, false
	}
	k.day = Day(binary.BigEndian.Uint32(b[2:]) ^ 1<<31)
	k.series = SeriesID(binary.BigEndian.Uint64(b[chunkSeriesAt:]))
	midnight := uint64(int64(k.day) * nanosecondsPerDay)
	k.start = int64(midnight + readUint(b[chunkStartAt:chunkEndAt]))
	k.end = int64(midnight + readUint(b[chunkEndAt:chunkFlushAt]))
	k.flush = readUint(b[chunkFlushAt : chunkFlushAt+5])
	k.ordinal = uint32(readUint(b[chunkFlushAt+5:]))
	return k, true
}

// chunkPrefix is the start of the keys of a series and day.
func chunkPrefix(d Day, id SeriesID) []byte {
	return binary.BigEndian.AppendUint64(dayRow(rowChunk, d), uint64(id))
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
