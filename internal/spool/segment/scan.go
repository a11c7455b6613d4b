package segment

import (
	"errors"
	"io"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/plant"
	"github.com/penstock/penstock/internal/spool/disk"
)

// Frame is a frame whose seal holds.
type Frame struct {
	Head
	Payload
	Offset int64 // in the file
}

// Scanner finds the frames of one segment in their order. Where bytes are not a
// frame of it, it goes on at the next sector that starts one.
type Scanner struct {
	file   io.ReaderAt
	cipher *Cipher
	number uint64 // of the segment

	off    int64  // where to look next
	last   uint64 // number of the last frame found
	window []byte // bytes read ahead, from at on
	at     int64
}

const scanWindow = 256 << 10

// Scan returns a scanner that reads the segment from file.
func (s *Segment) Scan(file io.ReaderAt) *Scanner {
	return &Scanner{file: file, cipher: s.Cipher, number: s.Number, off: DataStart}
}

// Next returns the next frame that ends at or before byte end; io.EOF when there
// is none yet. Other errors are of the disk, and the call can be repeated.
func (s *Scanner) Next(end int64) (Frame, error) {
	for off := s.off; off+FrameHeaderSize <= end; off += Sector {
		head, err := s.bytes(off, FrameHeaderSize, end)
		if err != nil {
			return Frame{}, err
		}
		if h, ok := decodeHead(head, s.number); ok && h.Number > s.last && off+h.Size() <= end {
			f, ok, err := s.frame(h, off, end)
			if err != nil {
				return Frame{}, err
			}
			if ok {
				s.off, s.last = off+h.Size(), h.Number
				return f, nil
			}
		}
		if plant.CutAtFirstBad.On() {
			break
		}
	}
	return Frame{}, io.EOF
}

// frame opens the frame at off; false when its seal does not hold.
func (s *Scanner) frame(h Head, off, end int64) (Frame, bool, error) {
	b, err := s.bytes(off, FrameHeaderSize+int64(h.Length), end)
	if err != nil {
		return Frame{}, false, err
	}
	plain, err := s.cipher.open(h, b)
	if err != nil {
		return Frame{}, false, nil
	}
	p, ok := decodePayload(h, plain)
	return Frame{Head: h, Payload: p, Offset: off}, ok, nil
}

// bytes returns n bytes from off on, valid until the next call. All of them lie
// before end.
func (s *Scanner) bytes(off, n, end int64) ([]byte, error) {
	if off < s.at || off+n > s.at+int64(len(s.window)) {
		size := min(max(n, scanWindow), end-off)
		if int64(cap(s.window)) < size {
			s.window = make([]byte, size)
		}
		s.window, s.at = s.window[:size], off
		got, err := s.file.ReadAt(s.window, off)
		s.window = s.window[:got]
		if int64(got) < n {
			s.window = nil
			if err == nil || errors.Is(err, io.EOF) {
				return nil, penstock.Errorf(penstock.Corrupt, "segment %016x is shorter than it was: %w", s.number, io.ErrUnexpectedEOF)
			}
			return nil, disk.Error(err, "read segment %016x at byte %d", s.number, off)
		}
	}
	return s.window[off-s.at:][:n], nil
}

// FirstNonZero returns the offset of the first sector from off on that is not
// all zeros before end, or 0.
func FirstNonZero(r io.ReaderAt, off, end int64) (int64, error) {
	buf := make([]byte, max(0, min(scanWindow, end-off)))
	for off < end {
		b := buf[:min(int64(len(buf)), end-off)]
		if n, err := r.ReadAt(b, off); n < len(b) {
			return 0, disk.Error(err, "read at byte %d", off)
		}
		for i, c := range b {
			if c != 0 {
				return off + int64(i)/Sector*Sector, nil
			}
		}
		off += int64(len(b))
	}
	return 0, nil
}
