// Package copyrow writes samples in the binary format of PostgreSQL's COPY. It
// exists because this is where delivery spends its time on this side: a row costs
// some dozen stores, and no allocation.
package copyrow

import (
	"encoding/binary"
	"io"
	"time"

	"github.com/penstock/penstock"
)

// Columns are those of the table of samples, in the order of the rows.
const Columns = "source_time, received_time, stored_time, epoch, seq, float_value, int_value, point, status, native, source_nanos, kind, flags, text_value"

const columns = 14

// postgresEpoch is 2000-01-01 UTC, from which PostgreSQL counts, in microseconds
// since 1970.
const postgresEpoch = 946_684_800_000_000

// Row is one sample on its way.
type Row struct {
	Report *penstock.Report
	Sample *penstock.Sample
	Point  int32 // its number in the database
}

// Micros splits a time into the microseconds that PostgreSQL keeps, rounded
// down, and the nanoseconds above them, 0 to 999.
func Micros(nanos int64) (micros int64, rest int16) {
	micros, below := nanos/1000, nanos%1000
	if below < 0 {
		micros, below = micros-1, below+1000
	}
	return micros, int16(below)
}

// Time returns the time of the microseconds, as [Micros] has them.
func Time(nanos int64) time.Time {
	micros, _ := Micros(nanos)
	return time.UnixMicro(micros).UTC()
}

// Reader yields the rows as the input of COPY … FROM STDIN BINARY.
type Reader struct {
	rows   []Row
	stored int64 // microseconds since 1970
	buf    []byte
	at     int // of what was not read yet in buf
	ended  bool
}

// NewReader returns a reader of rows, all stored at the given time, in
// microseconds since 1970. The rows must not change until it was read.
func NewReader(rows []Row, stored int64) *Reader {
	r := &Reader{rows: rows, stored: stored, buf: make([]byte, 0, chunk+4096)}
	r.buf = append(r.buf, "PGCOPY\n\377\r\n\000"...)
	r.buf = binary.BigEndian.AppendUint64(r.buf, 0) // flags, and the length of an extension
	return r
}

// chunk is how much is encoded at once.
const chunk = 64 << 10

// Read implements [io.Reader].
func (r *Reader) Read(p []byte) (int, error) {
	if r.at == len(r.buf) {
		if r.ended {
			return 0, io.EOF
		}
		r.buf, r.at = r.buf[:0], 0
	}
	for len(r.buf) < chunk && len(r.rows) > 0 {
		r.buf = appendRow(r.buf, &r.rows[0], r.stored)
		r.rows = r.rows[1:]
	}
	if len(r.rows) == 0 && !r.ended {
		r.ended = true
		r.buf = binary.BigEndian.AppendUint16(r.buf, 0xffff)
	}
	n := copy(p, r.buf[r.at:])
	r.at += n
	return n, nil
}

func appendRow(dst []byte, row *Row, stored int64) []byte {
	s, id := row.Sample, row.Report.Identity
	source, nanos := Micros(s.SourceTime)
	received, _ := Micros(row.Report.ReceivedTime)
	dst = binary.BigEndian.AppendUint16(dst, columns)
	dst = append8(dst, uint64(source-postgresEpoch))
	dst = append8(dst, uint64(received-postgresEpoch))
	dst = append8(dst, uint64(stored-postgresEpoch))
	if id.Form == penstock.Sequence {
		dst = append8(dst, id.Epoch)
		dst = append8(dst, id.Seq)
	} else {
		dst = appendNull(appendNull(dst))
	}
	kind := s.Value.Kind()
	switch kind {
	case penstock.Float64:
		dst = appendNull(append8(dst, s.Value.Bits()))
	case penstock.Int64, penstock.Uint64, penstock.Bool:
		dst = append8(appendNull(dst), s.Value.Bits())
	default:
		dst = appendNull(appendNull(dst))
	}
	dst = append4(dst, uint32(row.Point))
	dst = append4(dst, uint32(s.Status))
	dst = append4(dst, s.Native)
	dst = append2(dst, uint16(nanos))
	dst = append2(dst, uint16(kind))
	dst = append2(dst, uint16(s.Flags))
	if kind != penstock.Text {
		return appendNull(dst)
	}
	text := s.Value.Text()
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(text)))
	return append(dst, text...)
}

func append8(dst []byte, v uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, 0, 0, 0, 8), v)
}

func append4(dst []byte, v uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, 0, 0, 0, 4), v)
}

func append2(dst []byte, v uint16) []byte {
	return binary.BigEndian.AppendUint16(append(dst, 0, 0, 0, 2), v)
}

func appendNull(dst []byte) []byte { return append(dst, 0xff, 0xff, 0xff, 0xff) }
