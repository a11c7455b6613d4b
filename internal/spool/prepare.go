package spool

import (
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
)

// prepared is a file of zeros that is to be the next segment. Writing over
// zeros that are on the disk already costs no change of metadata at the fsync.
type prepared struct {
	path string // its name until it is part of the log
	file vfs.File
	size int64
}

// zeroChunk is written and synced at a time, so that the preparer never makes a
// sync of the writer wait for a whole segment.
const zeroChunk = 1 << 20

// zeroFill makes the file of the next segment.
func (s *Spool) zeroFill(size int64) (*prepared, error) {
	s.fills++
	path := s.dir.join(numbered(s.fills, preparedSuffix))
	if err := s.dir.writeZeros(path, size, s.stop); err != nil {
		// A part of it is of no use, and its space is.
		if rerr := s.dir.fs.Remove(path); rerr != nil && !isMissing(rerr) {
			s.opt.Log.Warn("an unfinished file could not be removed: the next start will", "file", path, "err", rerr)
		}
		return nil, err
	}
	f, err := s.dir.fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, diskError(err, "open %s", path)
	}
	return &prepared{path: path, file: f, size: size}, nil
}

func (d directory) writeZeros(path string, size int64, stop <-chan struct{}) (err error) {
	f, err := d.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return diskError(err, "make %s", path)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = diskError(cerr, "close %s", path)
		}
	}()
	zeros := make([]byte, min(size, zeroChunk))
	for left := size; left > 0; {
		select {
		case <-stop:
			return penstock.Errorf(penstock.Closed, "the spool is closed")
		default:
		}
		n, err := f.Write(zeros[:min(left, zeroChunk)])
		if err == nil {
			left -= int64(n)
			err = f.Sync()
		}
		if err != nil {
			return diskError(err, "make room for %d bytes in %s", size, path)
		}
	}
	return nil
}

// prepare is the preparer goroutine: it keeps one segment ready.
func (s *Spool) prepare() {
	for {
		var pause bool
		select {
		case pause = <-s.want:
		case <-s.stop:
			return
		}
		for pause || !s.prepareOne() {
			pause = false
			if !s.pause() {
				return
			}
		}
	}
}

// pause waits for the time to try again, or until something was released; it
// returns false when the spool was closed.
func (s *Spool) pause() bool {
	t := time.NewTimer(s.opt.Retry)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.want:
	case <-s.stop:
		return false
	}
	return true
}

// prepareOne makes the next segment, or says why there is none.
func (s *Spool) prepareOne() bool {
	s.mu.Lock()
	have := s.ready != nil
	s.mu.Unlock()
	if have {
		return true
	}
	size := s.opt.SegmentBytes
	p, err := (*prepared)(nil), s.overQuota(size)
	if err == nil {
		p, err = s.zeroFill(size)
	}
	s.mu.Lock()
	s.ready, s.short = p, err
	if err == nil {
		s.log.used += size
	}
	s.mu.Unlock()
	signal(s.wake)
	return err == nil
}

func (s *Spool) overQuota(size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.opt.QuotaBytes; q > 0 && s.log.used+size > q {
		return penstock.Errorf(penstock.Full, "the spool holds %d of the %d bytes that it may: what is delivered and covered by snapshots makes room", s.log.used, q)
	}
	return nil
}

// take returns the prepared segment, or why there is none; neither while one is
// being made.
func (s *Spool) take() (*prepared, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.ready
	s.ready = nil
	if p != nil {
		return p, nil
	}
	return nil, s.short
}
