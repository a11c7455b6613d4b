// Package cobs carries frames of the link protocol over serial lines: stuffed so
// that no byte of them is zero, with a zero byte after each.
package cobs

import (
	"bytes"

	"github.com/penstock/penstock/link"
)

// longestRun is the longest run of COBS without a zero: its code is 0xFF.
const longestRun = 254

// Append appends the block to dst in COBS, without a zero byte in it, and
// then the 0x00 that ends it on a line. It returns the longer slice.
func Append(dst, block []byte) []byte {
	for {
		run := bytes.IndexByte(block, 0)
		last := run < 0
		if last {
			run = len(block)
		}
		for run >= longestRun {
			dst = append(append(dst, longestRun+1), block[:longestRun]...)
			block, run = block[longestRun:], run-longestRun
			if run == 0 && last {
				return append(dst, 0)
			}
		}
		dst = append(append(dst, byte(run+1)), block[:run]...)
		if last {
			return append(dst, 0)
		}
		block = block[run+1:]
	}
}

// Decode undoes COBS in place and returns the block, which is a part of b. B
// comes without the 0x00 that ended it. The error has the fault [link.FaultCOBS]; b is
// as it was then.
func Decode(b []byte) ([]byte, error) {
	for i := 0; i < len(b); i += int(b[i]) {
		if code := int(b[i]); code == 0 || i+code > len(b) {
			return nil, link.FaultCOBS.Errorf("byte %d of a block points %d bytes on, but the block has %d: bytes were damaged or are missing", i, code, len(b))
		}
	}
	out := b[:0]
	for i := 0; i < len(b); {
		code := int(b[i])
		out = append(out, b[i+1:i+code]...)
		i += code
		if code <= longestRun && i < len(b) {
			out = append(out, 0)
		}
	}
	return out, nil
}

// Line cuts what a serial line brings into blocks: each is a frame, or a sealed
// datagram, that the line carries in COBS. It has no sense of time: blocks are
// found by the 0x00 that ends them.
type Line struct {
	limit int // bytes of a block as it stands on the line
	buf   []byte
	total int    // bytes of the block so far, also those not kept
	in    []byte // what is left of the last input
}

// NewLine returns a line for blocks of at most size bytes: [link.FrameOverhead] and
// the largest payload, and seal.Overhead where they are sealed.
func NewLine(size int) *Line {
	return &Line{limit: size + size/longestRun + 1}
}

// Feed takes bytes from the line. [Line.Next] has to be called until it has no
// more before the next call, and before in is used again.
func (l *Line) Feed(in []byte) { l.in = in }

// Next returns the next whole block, decoded, and false when there is none in
// what was fed. Empty blocks are skipped. The block is good until the next call.
// A block that cannot be decoded is returned as it stood on the line, as far as
// it was kept, with an error of the fault [link.FaultCOBS] or [link.FaultLength].
func (l *Line) Next() (block []byte, ok bool, err error) {
	for {
		if l.total < 0 { // the block in buf was returned
			l.buf, l.total = l.buf[:0], 0
		}
		i := bytes.IndexByte(l.in, 0)
		part := l.in
		if i >= 0 {
			part = l.in[:i]
		}
		l.buf = append(l.buf, part[:min(len(part), l.limit-len(l.buf))]...)
		l.total = min(l.total+len(part), l.limit+1)
		if i < 0 {
			l.in = nil
			return nil, false, nil
		}
		l.in = l.in[i+1:]
		total := l.total
		l.total = -1
		switch {
		case total > l.limit:
			return l.buf, true, link.FaultLength.Errorf("a block has more than the %d bytes that are taken here: the sender's frames are too large, or a delimiter was damaged", l.limit)
		case total > 0:
			block, err := Decode(l.buf)
			if err != nil {
				block = l.buf
			}
			return block, true, err
		}
	}
}
