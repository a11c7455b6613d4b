package historian

import (
	"encoding/binary"
	"math"

	"github.com/penstock/penstock"
)

// quarantineVersion is the first byte of a quarantined report.
const quarantineVersion = 1

// QuarantinedReport is a report that could not be stored.
type QuarantinedReport struct {
	Number uint64 // of the quarantine, never used twice
	Reason string // a sentence
	Time   int64  // nanoseconds since 1970 UTC, when it was refused
	Report *penstock.Report
}

// quarantine keeps the report with the reason.
func (s *settler) quarantine(r *penstock.Report, reason string) {
	content := append([]byte{quarantineVersion}, binary.AppendVarint(nil, s.h.o.Now().UnixNano())...)
	content = appendString(content, reason)
	s.t.batch.Set(row8(rowQuarantine, s.nextQuarantine), appendReport(content, r))
	s.nextQuarantine++
}

// Quarantine yields the reports in quarantine, oldest first.
func (h *Historian) Quarantine(yield func(QuarantinedReport) bool) error {
	stopped := false
	return h.o.Store.Scan(row(rowQuarantine), row(rowQuarantine+1), func(key, value []byte) error {
		if stopped {
			return nil
		}
		q, ok := readQuarantined(value)
		if !ok || len(key) != 10 {
			return damaged("quarantined reports")
		}
		q.Number = binary.BigEndian.Uint64(key[2:])
		stopped = !yield(q)
		return nil
	})
}

func readQuarantined(b []byte) (q QuarantinedReport, ok bool) {
	r := reader{b: b}
	if r.byte() != quarantineVersion {
		return q, false
	}
	q.Time = r.varint()
	q.Reason = r.text()
	q.Report = r.report()
	return q, !r.bad && len(r.b) == 0
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func (r *reader) text() string { return string(r.bytes(r.uvarint())) }

// appendReport writes every field of the report, whatever is wrong with it.
func appendReport(dst []byte, r *penstock.Report) []byte {
	dst = appendString(dst, r.Controller)
	dst = append(dst, byte(r.Identity.Form))
	dst = binary.AppendUvarint(dst, r.Identity.Epoch)
	dst = binary.AppendUvarint(dst, r.Identity.Seq)
	dst = appendString(dst, r.Identity.Key)
	dst = binary.AppendUvarint(dst, uint64(r.Fingerprint))
	dst = appendString(dst, r.Source)
	dst = binary.AppendVarint(dst, r.ReceivedTime)
	dst = binary.AppendVarint(dst, r.AcceptedTime)
	dst = binary.AppendUvarint(dst, uint64(len(r.Samples)))
	for i := range r.Samples {
		s := &r.Samples[i]
		dst = appendString(dst, s.Point)
		dst = binary.AppendVarint(dst, s.SourceTime)
		dst = append(dst, byte(s.Value.Kind()))
		dst = binary.AppendUvarint(dst, s.Value.Bits())
		dst = appendString(dst, s.Value.Text())
		dst = binary.AppendUvarint(dst, uint64(s.Status))
		dst = binary.AppendUvarint(dst, uint64(s.Native))
		dst = append(dst, byte(s.Flags))
		dst = appendString(dst, s.Unit)
	}
	return dst
}

func (r *reader) report() *penstock.Report {
	p := &penstock.Report{Controller: r.text()}
	p.Identity = penstock.Identity{Form: penstock.IdentityForm(r.byte()), Epoch: r.uvarint(), Seq: r.uvarint(), Key: r.text()}
	p.Fingerprint = penstock.Fingerprint(r.uvarint())
	p.Source = r.text()
	p.ReceivedTime, p.AcceptedTime = r.varint(), r.varint()
	count := r.uvarint()
	if count > uint64(len(r.b)) {
		r.bad = true
	}
	for range count {
		if r.bad {
			break
		}
		s := penstock.Sample{Point: r.text(), SourceTime: r.varint()}
		kind, bits, text := penstock.Kind(r.byte()), r.uvarint(), r.text()
		s.Value = penstock.BitsValue(kind, bits)
		if kind == penstock.Text {
			s.Value = penstock.TextValue(text)
		}
		status, native := r.uvarint(), r.uvarint()
		r.bad = r.bad || status|native > math.MaxUint32
		s.Status, s.Native, s.Flags = penstock.Status(status), uint32(native), penstock.SampleFlags(r.byte())
		s.Unit = r.text()
		p.Samples = append(p.Samples, s)
	}
	return p
}
