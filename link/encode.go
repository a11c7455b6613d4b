package link

import (
	"encoding/binary"
	"hash/maphash"
	"slices"

	"github.com/penstock/penstock"
)

// AppendReport appends the encoding of the report's controller, identity and
// samples to dst and returns the longer slice. Two reports that are equal in
// these have the same encoding. A report that [Check] refuses gets an encoding
// too, but one that no decoder takes.
func AppendReport(dst []byte, r *penstock.Report) []byte {
	dst = slices.Grow(dst, sizeHint(r))
	dst = append(dst, Version)
	dst = binary.AppendUvarint(dst, 0) // features
	var room [binary.MaxVarintLen64]byte
	length := len(dst)
	dst = append(dst, room[:]...) // the length is known only when the body is written
	body := len(dst)
	dst = appendHead(dst, r)
	dst = appendSamples(dst, r.Samples)
	width := binary.PutUvarint(dst[length:], uint64(len(dst)-body))
	return append(dst[:length+width], dst[body:]...)
}

// sizeHint guesses the size of an encoding, so that most grow no buffer twice.
func sizeHint(r *penstock.Report) int {
	return 64 + len(r.Controller) + len(r.Identity.Key) + 16*len(r.Samples)
}

// appendHead appends everything that stands before the samples.
func appendHead(dst []byte, r *penstock.Report) []byte {
	dst = append(dst, byte(r.Identity.Form))
	switch r.Identity.Form {
	case penstock.Sequence:
		dst = binary.AppendUvarint(dst, r.Identity.Epoch)
		dst = binary.AppendUvarint(dst, r.Identity.Seq)
	case penstock.Keyed:
		dst = appendString(dst, r.Identity.Key)
	case penstock.Natural:
	}
	dst = appendString(dst, r.Controller)
	return binary.AppendUvarint(dst, uint64(len(r.Samples)))
}

func appendSamples(dst []byte, samples []penstock.Sample) []byte {
	// Names come from outside: with a seed of its own nobody can aim for collisions.
	points := table{samples: samples, seed: maphash.MakeSeed()}
	var last penstock.Sample // the sample before the first
	for i := range samples {
		s := &samples[i]
		place, row := points.place(i)
		tag := byte(min(s.Value.Kind(), kindMask)) | place
		if s.SourceTime != last.SourceTime {
			tag |= timeChanged
		}
		if s.Status != last.Status {
			tag |= statusChanged
		}
		if s.Native != last.Native || s.Flags != last.Flags {
			tag |= qualityChanged
		}
		dst = append(dst, tag)
		if tag&^kindMask != 0 {
			dst = appendChanges(dst, s, &last, tag, row)
			last.SourceTime, last.Status, last.Native, last.Flags = s.SourceTime, s.Status, s.Native, s.Flags
		}
		dst = appendValue(dst, &s.Value)
	}
	return dst
}

// appendChanges appends what differs from the sample before, in the order of
// the format.
func appendChanges(dst []byte, s, last *penstock.Sample, tag byte, row int) []byte {
	switch tag & pointMask {
	case pointKnown:
		dst = binary.AppendUvarint(dst, uint64(row))
	case pointNew:
		dst = appendString(dst, s.Point)
		dst = appendString(dst, s.Unit)
	}
	if tag&timeChanged != 0 {
		dst = binary.AppendUvarint(dst, zigzag(s.SourceTime-last.SourceTime))
	}
	if tag&statusChanged != 0 {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(s.Status))
	}
	if tag&qualityChanged != 0 {
		dst = binary.AppendUvarint(dst, uint64(s.Native))
		dst = append(dst, byte(s.Flags))
	}
	return dst
}

func appendValue(dst []byte, v *penstock.Value) []byte {
	switch v.Kind() {
	case penstock.Float64:
		return binary.LittleEndian.AppendUint64(dst, v.Bits())
	case penstock.Int64:
		return binary.AppendUvarint(dst, zigzag(v.Int()))
	case penstock.Uint64:
		return binary.AppendUvarint(dst, v.Uint())
	case penstock.Bool:
		return append(dst, byte(min(v.Bits(), 2)))
	case penstock.Text:
		return appendString(dst, v.Text())
	case penstock.None:
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}
