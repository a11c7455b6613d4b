// Package quarantine writes and reads the rows of reports that could not be
// stored.
package quarantine

import (
	"encoding/binary"
	"math"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/layout"
)

// version is the first byte of a row. Version 1, which no release wrote, had no tries.
const version = 2

// Report is a report that could not be stored.
type Report struct {
	Number uint64 // of the quarantine, never used twice
	Reason string // a sentence: why it was refused the last time
	Held   bool   // a step of the pipeline wanted it here; otherwise it could not be stored
	Tries  int    // how often it was tried
	First  int64  // nanoseconds since 1970 UTC, when it was refused first
	Last   int64  // nanoseconds since 1970 UTC, when it was refused last
	Report *penstock.Report
}

// Append writes all of the report but its number, whatever is wrong with it.
func Append(dst []byte, q Report) []byte {
	held := byte(0)
	if q.Held {
		held = 1
	}
	b := binary.AppendUvarint(append(dst, version, held), uint64(q.Tries))
	b = binary.AppendVarint(binary.AppendVarint(b, q.First), q.Last)
	return appendReport(layout.AppendText(b, q.Reason), q.Report)
}

// Read reads what [Append] wrote, and tells whether b is that.
func Read(b []byte) (q Report, ok bool) {
	r := layout.Reader{B: b}
	if r.Byte() != version {
		return q, false
	}
	held := r.Byte()
	q.Held = held == 1
	tries := r.Uvarint()
	r.Bad = r.Bad || held > 1 || tries > math.MaxInt32
	q.Tries, q.First, q.Last = int(tries), r.Varint(), r.Varint()
	q.Reason = r.Text()
	q.Report = readReport(&r)
	return q, !r.Bad && len(r.B) == 0
}

func appendReport(dst []byte, r *penstock.Report) []byte {
	dst = layout.AppendText(dst, r.Controller)
	dst = append(dst, byte(r.Identity.Form))
	dst = binary.AppendUvarint(dst, r.Identity.Epoch)
	dst = binary.AppendUvarint(dst, r.Identity.Seq)
	dst = layout.AppendText(dst, r.Identity.Key)
	dst = binary.AppendUvarint(dst, uint64(r.Fingerprint))
	dst = layout.AppendText(dst, r.Source)
	dst = binary.AppendVarint(dst, r.ReceivedTime)
	dst = binary.AppendVarint(dst, r.AcceptedTime)
	dst = binary.AppendUvarint(dst, uint64(len(r.Samples)))
	for i := range r.Samples {
		s := &r.Samples[i]
		dst = layout.AppendText(dst, s.Point)
		dst = binary.AppendVarint(dst, s.SourceTime)
		dst = append(dst, byte(s.Value.Kind()))
		dst = binary.AppendUvarint(dst, s.Value.Bits())
		dst = layout.AppendText(dst, s.Value.Text())
		dst = binary.AppendUvarint(dst, uint64(s.Status))
		dst = binary.AppendUvarint(dst, uint64(s.Native))
		dst = append(dst, byte(s.Flags))
		dst = layout.AppendText(dst, s.Unit)
	}
	return dst
}

func readReport(r *layout.Reader) *penstock.Report {
	p := &penstock.Report{Controller: r.Text()}
	p.Identity = penstock.Identity{Form: penstock.IdentityForm(r.Byte()), Epoch: r.Uvarint(), Seq: r.Uvarint(), Key: r.Text()}
	p.Fingerprint = penstock.Fingerprint(r.Uvarint())
	p.Source = r.Text()
	p.ReceivedTime, p.AcceptedTime = r.Varint(), r.Varint()
	count := r.Uvarint()
	if count > uint64(len(r.B)) {
		r.Bad = true
	}
	for range count {
		if r.Bad {
			break
		}
		s := penstock.Sample{Point: r.Text(), SourceTime: r.Varint()}
		kind, bits, text := penstock.Kind(r.Byte()), r.Uvarint(), r.Text()
		s.Value = penstock.BitsValue(kind, bits)
		if kind == penstock.Text {
			s.Value = penstock.TextValue(text)
		}
		status, native := r.Uvarint(), r.Uvarint()
		r.Bad = r.Bad || status|native > math.MaxUint32
		s.Status, s.Native, s.Flags = penstock.Status(status), uint32(native), penstock.SampleFlags(r.Byte())
		s.Unit = r.Text()
		p.Samples = append(p.Samples, s)
	}
	return p
}
