package link

import (
	"encoding/binary"

	"github.com/penstock/penstock"
)

// ForwardedType is the media type of a body of reports that one gateway hands on to
// another. It differs from [MediaType] by a head, and by the received time before each
// report.
const ForwardedType = "application/vnd.penstock.forwarded"

// forwardedHead is the version and the features, of which there are none.
const forwardedHead = "\x01\x00"

// ReceivedSize is the bytes of the received time before each forwarded report.
const ReceivedSize = 8

// BeginForwarded appends the head of a body of forwarded reports.
func BeginForwarded(dst []byte) []byte { return append(dst, forwardedHead...) }

// AppendForwarded appends a report with its received time. The report must pass
// [Check].
func AppendForwarded(dst []byte, r *penstock.Report) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.ReceivedTime))
	return AppendReport(dst, r)
}

// CutForwarded returns what stands behind the head of a body of forwarded reports. The
// error has code [penstock.Unsupported] when that head is of a later version.
func CutForwarded(body []byte) (reports []byte, err error) {
	switch {
	case len(body) < len(forwardedHead):
		return nil, penstock.Errorf(penstock.Invalid, "a body of forwarded reports begins with version and features; this one has %d bytes", len(body))
	case string(body[:len(forwardedHead)]) != forwardedHead:
		return nil, penstock.Errorf(penstock.Unsupported, "forwarded reports of version %d with features %d are not known here: the gateway that forwards is newer, run its program here too", body[0], body[1])
	}
	return body[len(forwardedHead):], nil
}

// DecodeForwarded reads the report at the beginning of b into r, with its received
// time. See [Decoder.Decode] for rest and the errors.
func (d *Decoder) DecodeForwarded(b []byte, r *penstock.Report) (rest []byte, err error) {
	if len(b) < ReceivedSize {
		return nil, penstock.Errorf(penstock.Invalid, "the received time of a forwarded report has %d bytes, these are %d", ReceivedSize, len(b))
	}
	rest, err = d.Decode(b[ReceivedSize:], r)
	r.ReceivedTime = int64(binary.LittleEndian.Uint64(b))
	return rest, err
}
