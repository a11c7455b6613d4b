package spool

import (
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/spool/disk"
	"github.com/penstock/penstock/internal/spool/inventory"
)

// prepared is a file of zeros that is to be the next segment. Writing over
// zeros that are on the disk already costs no change of metadata at the fsync.
type prepared struct {
	path string // until it is part of the log
	file vfs.File
	size int64
}

// preparer is a goroutine that keeps one segment ready.
type preparer struct {
	*core
	made uint64 // files of zeros begun: each has a name of its own
}

func (p *preparer) run() {
	for {
		var pause bool
		select {
		case pause = <-p.want:
		case <-p.stop:
			return
		}
		for pause || !p.prepare() {
			pause = false
			if !p.pause() {
				return
			}
		}
	}
}

// pause waits for the time to try again, or until something was released; it
// returns false when the spool was closed.
func (p *preparer) pause() bool {
	t := time.NewTimer(p.opt.Retry)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.want:
	case <-p.stop:
		return false
	}
	return true
}

// prepare makes the next segment, or says why there is none.
func (p *preparer) prepare() bool {
	if p.isReady() {
		return true
	}
	size := p.opt.SegmentBytes
	next, err := (*prepared)(nil), p.overQuota(size)
	if err == nil {
		next, err = p.zeroFill(size)
	}
	p.mu.Lock()
	p.ready, p.short = next, err
	if err == nil {
		p.log.used += size
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default: // the writer will look anyway
	}
	return err == nil
}

func (p *preparer) overQuota(size int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if q := p.quota; q > 0 && p.log.used+size > q {
		return penstock.Errorf(penstock.Full, "the spool holds %d of the %d bytes that it may: what is delivered and covered by snapshots makes room", p.log.used, q)
	}
	return nil
}

// zeroFill makes a file of zeros that are on the disk.
func (p *preparer) zeroFill(size int64) (*prepared, error) {
	p.made++
	path := p.path(p.made, inventory.Prepared)
	if err := p.writeZeros(path, size); err != nil {
		// A part of it is of no use, and its space is.
		if rerr := disk.Remove(p.opt.FS, path); rerr != nil {
			p.opt.Log.Warn("an unfinished file could not be removed: the next start will", "err", rerr)
		}
		return nil, err
	}
	f, err := p.opt.FS.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, disk.Error(err, "open %s", path)
	}
	return &prepared{path: path, file: f, size: size}, nil
}

// zeroChunk is written and synced at a time, so that the preparer never makes a
// sync of the writer wait for a whole segment.
const zeroChunk = 1 << 20

func (p *preparer) writeZeros(path string, size int64) (err error) {
	f, err := p.opt.FS.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return disk.Error(err, "make %s", path)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = disk.Error(cerr, "close %s", path)
		}
	}()
	zeros := make([]byte, min(size, zeroChunk))
	for left := size; left > 0; {
		select {
		case <-p.stop:
			return penstock.Errorf(penstock.Closed, "the spool is closed")
		default:
		}
		n, err := f.Write(zeros[:min(left, zeroChunk)])
		if err == nil {
			left -= int64(n)
			err = f.Sync()
		}
		if err != nil {
			return disk.Error(err, "make room for %d bytes in %s", size, path)
		}
	}
	return nil
}
