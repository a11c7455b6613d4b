package intake

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/ledger"
	"github.com/penstock/penstock/link"
)

// The first byte of an entry in the spool says what follows. The numbers are
// part of the format on disk.
const (
	entryReport   = 1 // received and accepted time, fingerprint (8 bytes each), source, report in the link codec
	entryDecision = 2 // an entry of the ledger
	entryHeld     = 3 // why it goes to quarantine, and what follows is as for a report
)

// maxHeld bounds the bytes of why a report goes to quarantine.
const maxHeld = 1 << 10

const reportHeader = 1 + 3*8 // bytes before the source

// appendReport appends the entry of an accepted report.
func appendReport(dst []byte, r *penstock.Report) []byte {
	dst = append(dst, entryReport)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.ReceivedTime))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.AcceptedTime))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Fingerprint))
	dst = binary.AppendUvarint(dst, uint64(len(r.Source)))
	dst = append(dst, r.Source...)
	return link.AppendReport(dst, r)
}

// appendItem appends the entry of an accepted report with what a step said of it.
func appendItem(dst []byte, item *Item) []byte {
	if item.Quarantine == "" {
		return appendReport(dst, item.Report)
	}
	why := item.Quarantine
	if len(why) > maxHeld {
		why = strings.ToValidUTF8(why[:maxHeld], "")
	}
	dst = binary.AppendUvarint(append(dst, entryHeld), uint64(len(why)))
	return appendReport(append(dst, why...), item.Report)
}

// cutHeld takes an entry apart into why the report goes to quarantine and the entry
// of the report.
func cutHeld(data []byte) (why string, rest []byte, err error) {
	length, n := binary.Uvarint(data[1:])
	if n <= 0 || length > maxHeld || length > uint64(len(data)-1-n) {
		return "", nil, malformed("reason of a quarantined report entry")
	}
	rest = data[1+n:]
	if why = string(rest[:length]); why == "" || !utf8.ValidString(why) {
		return "", nil, malformed("reason of a quarantined report entry")
	}
	return why, rest[length:], nil
}

// Quarantine returns why the report of an entry is to go to quarantine, and an empty
// text for every other entry.
func Quarantine(data []byte) string {
	if len(data) == 0 || data[0] != entryHeld {
		return ""
	}
	why, _, _ := cutHeld(data) // Decode says what is wrong with it
	return why
}

// appendDecision appends the entry of anything but an accepted report.
func appendDecision(dst []byte, e *ledger.Entry) []byte {
	return e.AppendBinary(append(dst, entryDecision))
}

// reportEntry is the accepted report as the ledger sees it.
func reportEntry(r *penstock.Report) ledger.Entry {
	return ledger.Entry{Kind: ledger.EntryReport, Controller: r.Controller, Identity: ledgerIdentity(r.Identity), Fingerprint: r.Fingerprint}
}

// ledgerIdentity is the identity as the ledger keeps it: of a key, 16 bytes of
// its SHA-256, so that every entry's digest is short.
func ledgerIdentity(id penstock.Identity) penstock.Identity {
	if id.Form == penstock.Keyed {
		sum := sha256.Sum256([]byte(id.Key))
		id.Key = string(sum[:16])
	}
	return id
}

// Decoder reads entries of the spool. It interns names, so one serves many
// entries; it is not safe for concurrent use.
type Decoder struct {
	link   link.Decoder
	source string // of the last report: most likely it comes again
}

// Decode reads an entry: what it tells the ledger and, when it is an accepted
// report, that report, which shares nothing with data.
func (d *Decoder) Decode(data []byte) (ledger.Entry, *penstock.Report, error) {
	if len(data) == 0 {
		return ledger.Entry{}, nil, malformed("empty entry")
	}
	if data[0] == entryHeld {
		_, rest, err := cutHeld(data)
		if err != nil || len(rest) == 0 || rest[0] != entryReport {
			return ledger.Entry{}, nil, malformed("quarantined report entry")
		}
		data = rest
	}
	switch data[0] {
	case entryDecision:
		e, err := ledger.DecodeEntry(data[1:])
		return e, nil, err
	case entryReport:
		r, err := d.report(data)
		if err != nil {
			return ledger.Entry{}, nil, err
		}
		return reportEntry(r), r, nil
	}
	return ledger.Entry{}, nil, penstock.Errorf(penstock.Unsupported, "intake: spool entry of kind %d is unknown", data[0])
}

func (d *Decoder) report(data []byte) (*penstock.Report, error) {
	if len(data) < reportHeader {
		return nil, malformed("short report entry")
	}
	length, n := binary.Uvarint(data[reportHeader:])
	rest := data[reportHeader+max(n, 0):]
	if n <= 0 || length > uint64(len(rest)) {
		return nil, malformed("source of a report entry")
	}
	r := &penstock.Report{}
	tail, err := d.link.Decode(rest[length:], r)
	if err != nil {
		return nil, penstock.Errorf(penstock.Corrupt, "intake: report in the spool: %w", err)
	}
	if len(tail) > 0 {
		return nil, malformed("bytes after a report entry")
	}
	r.ReceivedTime = int64(binary.LittleEndian.Uint64(data[1:]))
	r.AcceptedTime = int64(binary.LittleEndian.Uint64(data[9:]))
	r.Fingerprint = penstock.Fingerprint(binary.LittleEndian.Uint64(data[17:]))
	if string(rest[:length]) != d.source {
		d.source = string(rest[:length])
	}
	r.Source = d.source
	return r, nil
}

func malformed(what string) error {
	return penstock.Errorf(penstock.Corrupt, "intake: malformed %s", what)
}
