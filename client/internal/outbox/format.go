package outbox

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/penstock/penstock"
)

const (
	magic       = "PSOX"
	version     = 1
	headerSize  = 28
	frameHead   = 8 // length and checksum
	rangeSize   = 24
	keySize     = 16
	maxFrame    = 1 + keySize + penstock.MaxReport
	suffix      = ".box"
	halfSuffix  = ".new"     // being written anew
	asideSuffix = ".damaged" // set aside for a person
)

// The kinds of frame.
const (
	kindReport  = 1
	kindDropped = 2
)

func checksum(b ...[]byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := uint32(0)
	for _, part := range b {
		sum = crc32.Update(sum, table, part)
	}
	return sum
}

// header begins a segment: see the package comment.
type header struct{ epoch, first uint64 }

func (h header) append(dst []byte) []byte {
	start := len(dst)
	dst = append(append(dst, magic...), version, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, h.epoch)
	dst = binary.LittleEndian.AppendUint64(dst, h.first)
	return binary.LittleEndian.AppendUint32(dst, checksum(dst[start:]))
}

// parseHeader returns an error of code Unsupported for a segment of a newer
// program, and Corrupt for one that cannot be read.
func parseHeader(b []byte) (header, error) {
	if len(b) < headerSize || string(b[:4]) != magic || checksum(b[:24]) != binary.LittleEndian.Uint32(b[24:]) {
		return header{}, penstock.Errorf(penstock.Corrupt, "the header is damaged")
	}
	if b[4] != version || b[5] != 0 {
		return header{}, penstock.Errorf(penstock.Unsupported, "it has version %d, features %#x; this program reads version %d only: use the program that wrote it", b[4], b[5], version)
	}
	h := header{epoch: binary.LittleEndian.Uint64(b[8:]), first: binary.LittleEndian.Uint64(b[16:])}
	if h.epoch < 1 || h.epoch > penstock.MaxSequence || h.first < 1 || h.first > penstock.MaxSequence {
		return header{}, penstock.Errorf(penstock.Corrupt, "the header names the impossible report %d/%d", h.epoch, h.first)
	}
	return h, nil
}

// beginFrame appends the head of a frame, whose payload follows; endFrame fills
// it in.
func beginFrame(dst []byte, kind byte) []byte {
	return append(append(dst, make([]byte, frameHead)...), kind)
}

func endFrame(dst []byte, start int) {
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(dst)-start-frameHead))
	binary.LittleEndian.PutUint32(dst[start+4:], checksum(dst[start:start+4], dst[start+frameHead:]))
}

// nextFrame returns the kind and the payload of the frame at the start of b, and
// what follows; not ok when there is no whole one.
func nextFrame(b []byte) (kind byte, payload, rest []byte, ok bool) {
	if len(b) < frameHead {
		return 0, nil, nil, false
	}
	n := binary.LittleEndian.Uint32(b)
	if n < 1 || n > maxFrame || uint64(n) > uint64(len(b)-frameHead) {
		return 0, nil, nil, false
	}
	body := b[frameHead : frameHead+n]
	if checksum(b[:4], body) != binary.LittleEndian.Uint32(b[4:]) {
		return 0, nil, nil, false
	}
	return body[0], body[1:], b[frameHead+n:], true
}

// key names a report.
type key struct{ epoch, seq uint64 }

func (k key) before(o key) bool { return k.epoch < o.epoch || k.epoch == o.epoch && k.seq < o.seq }

// parseReport returns whose report a payload of kind 1 is, and its encoding.
func parseReport(b []byte) (k key, encoded []byte, ok bool) {
	if len(b) < keySize {
		return key{}, nil, false
	}
	k = key{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
	return k, b[keySize:], k.epoch >= 1 && k.epoch <= penstock.MaxSequence && k.seq >= 1 && k.seq <= penstock.MaxSequence
}

// beginReport appends the head of a report's frame; its encoding follows.
func beginReport(dst []byte, k key) []byte {
	dst = beginFrame(dst, kindReport)
	dst = binary.LittleEndian.AppendUint64(dst, k.epoch)
	return binary.LittleEndian.AppendUint64(dst, k.seq)
}

// span is reports from to to of an epoch.
type span struct{ epoch, from, to uint64 }

func (s span) append(dst []byte) []byte {
	start := len(dst)
	dst = beginFrame(dst, kindDropped)
	for _, n := range []uint64{s.epoch, s.from, s.to} {
		dst = binary.LittleEndian.AppendUint64(dst, n)
	}
	endFrame(dst, start)
	return dst
}

func parseSpan(b []byte) (span, bool) {
	if len(b) != rangeSize {
		return span{}, false
	}
	s := span{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])}
	return s, s.from >= 1 && s.from <= s.to && s.to <= penstock.MaxSequence
}

func segmentName(number uint64) string { return fmt.Sprintf("%016x%s", number, suffix) }

// segmentNumber returns the number in a segment's name, and false for any other
// file.
func segmentNumber(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 64)
	return n, err == nil && segmentName(n) == name
}
