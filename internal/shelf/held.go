package shelf

import (
	"encoding/binary"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// Held is a report in quarantine: one that a sink or a rule refused, kept until a
// person decides.
type Held struct {
	Number uint64 // in the quarantine of its sink; never used twice
	Reason string // a sentence: why it was refused the last time
	By     string // who refused it: the name of the sink, or of the rule
	Tries  int    // how often it was tried
	First  int64  // nanoseconds since 1970 UTC, when it was refused first
	Last   int64  // nanoseconds since 1970 UTC, when it was refused last
	Report *penstock.Report
}

// heldVersion is the first byte of a row: then tries, both times, the reason, who
// refused it, where the report came from, its times and its fingerprint, and the
// report in the encoding of package link.
const heldVersion = 1

// maxText bounds the reason: what a destination answers may be long.
const maxText = 4 << 10

func (h *Held) append(dst []byte) []byte {
	r := h.Report
	dst = binary.AppendUvarint(append(dst, heldVersion), uint64(h.Tries))
	for _, v := range [...]int64{h.First, h.Last, r.ReceivedTime, r.AcceptedTime} {
		dst = binary.AppendVarint(dst, v)
	}
	dst = binary.AppendUvarint(dst, uint64(r.Fingerprint))
	for _, text := range [...]string{h.Reason, h.By, r.Source} {
		text = strings.ToValidUTF8(text[:min(len(text), maxText)], "")
		dst = append(binary.AppendUvarint(dst, uint64(len(text))), text...)
	}
	return link.AppendReport(dst, r)
}

func readHeld(number uint64, b []byte) (Held, error) {
	if len(b) == 0 || b[0] != heldVersion {
		return Held{}, damaged("quarantine")
	}
	report := &penstock.Report{}
	h := Held{Number: number, Report: report}
	r := reader{rest: b[1:]}
	h.Tries = int(r.uvarint())
	var received, accepted int64
	for _, v := range [...]*int64{&h.First, &h.Last, &received, &accepted} {
		*v = r.varint()
	}
	print := penstock.Fingerprint(r.uvarint())
	h.Reason, h.By = r.text(), r.text()
	source := r.text()
	if r.failed {
		return Held{}, damaged("quarantine")
	}
	var d link.Decoder
	rest, err := d.Decode(r.rest, report)
	if err != nil || len(rest) > 0 {
		return Held{}, damaged("quarantine")
	}
	report.ReceivedTime, report.AcceptedTime, report.Fingerprint, report.Source = received, accepted, print, source
	return h, nil
}

// reader reads the parts of a row. After a part that is not there it has failed, and
// every further part is zero.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	return advance(r, v, n)
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	return advance(r, v, n)
}

func advance[T any](r *reader, v T, n int) T {
	var none T
	if n <= 0 || r.failed {
		r.rest, r.failed = nil, true
		return none
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) text() string {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.rest, r.failed = nil, true
		return ""
	}
	text := string(r.rest[:n])
	r.rest = r.rest[n:]
	return text
}
