package spool

import (
	"errors"
	"io"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/plant"
)

// frame is a frame whose seal holds.
type frame struct {
	frameHead
	payload
	off int64
}

// scanner finds the frames of one segment in their order. Where bytes are not a
// frame of it, it goes on at the next sector that starts one.
type scanner struct {
	file   io.ReaderAt
	cipher *cipherOf
	number uint64 // of the segment

	off    int64  // where to look next
	last   uint64 // number of the last frame found
	window []byte // bytes read ahead, from at on
	at     int64
}

const scanWindow = 256 << 10

// next returns the next frame that ends at or before end; io.EOF when there is
// none. Other errors are of the disk, and the call can be repeated.
func (s *scanner) next(end int64) (frame, error) {
	for off := s.off; off+frameHeader <= end; off += sector {
		head, err := s.bytes(off, frameHeader, end)
		if err != nil {
			return frame{}, err
		}
		h, ok := decodeFrameHead(head, s.number)
		if ok && h.number > s.last && off+h.size() <= end {
			f, found, err := s.frame(h, off, end)
			if err != nil {
				return frame{}, err
			}
			if found {
				s.off, s.last = off+h.size(), h.number
				return f, nil
			}
		}
		if plant.CutAtFirstBad.On() {
			break
		}
	}
	return frame{}, io.EOF
}

// frame opens the frame at off; false when its seal does not hold.
func (s *scanner) frame(h frameHead, off, end int64) (frame, bool, error) {
	b, err := s.bytes(off, frameHeader+int64(h.length), end)
	if err != nil {
		return frame{}, false, err
	}
	plain, err := s.cipher.open(h, b)
	if err != nil {
		return frame{}, false, nil
	}
	p, err := decodePayload(h, plain)
	if err != nil {
		return frame{}, false, nil
	}
	return frame{frameHead: h, payload: p, off: off}, true, nil
}

// bytes returns n bytes from off on, valid until the next call. All of them lie
// before end.
func (s *scanner) bytes(off, n, end int64) ([]byte, error) {
	if off < s.at || off+n > s.at+int64(len(s.window)) {
		size := min(max(n, scanWindow), end-off)
		if int64(cap(s.window)) < size {
			s.window = make([]byte, size)
		}
		s.window, s.at = s.window[:size], off
		got, err := s.file.ReadAt(s.window, off)
		if int64(got) < n {
			s.window = s.window[:0]
			if err == nil || errors.Is(err, io.EOF) {
				return nil, penstock.Errorf(penstock.Corrupt, "segment %d is shorter than it was: %w", s.number, io.ErrUnexpectedEOF)
			}
			return nil, penstock.Errorf(penstock.Unavailable, "read segment %d at byte %d: %w", s.number, off, err)
		}
		s.window = s.window[:got]
	}
	return s.window[off-s.at:][:n], nil
}
