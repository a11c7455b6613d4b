package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
)

// The names in the spool's directory.
const (
	segmentSuffix  = ".seg"
	snapshotSuffix = ".snap"
	preparedSuffix = ".zero" // what is to be the next segment
	temporary      = ".tmp"
	lockName       = "LOCK"
	asideName      = "aside"
)

// directory is the spool's directory and the keys that open what is in it.
type directory struct {
	fs   vfs.FS
	path string
	keys *keyring.Keyring
}

func (d directory) join(name string) string { return d.fs.PathJoin(d.path, name) }

func numbered(n uint64, suffix string) string { return fmt.Sprintf("%016x%s", n, suffix) }

func parseNumbered(name, suffix string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 16 || digits != strings.ToLower(digits) {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 64)
	return n, err == nil && n > 0
}

// listing is what the directory holds, each kind in order.
type listing struct {
	segments  []uint64
	snapshots []uint64
	leftover  []string // of writes that a crash cut off before they were part of the log
	strange   []string
}

func (d directory) list() (listing, error) {
	var l listing
	names, err := d.fs.List(d.path)
	if err != nil {
		return l, penstock.Errorf(penstock.Unavailable, "list the spool %s: %w", d.path, err)
	}
	for _, name := range names {
		if n, ok := parseNumbered(name, segmentSuffix); ok {
			l.segments = append(l.segments, n)
		} else if n, ok := parseNumbered(name, snapshotSuffix); ok {
			l.snapshots = append(l.snapshots, n)
		} else if strings.HasSuffix(name, preparedSuffix) || strings.HasSuffix(name, temporary) {
			l.leftover = append(l.leftover, name)
		} else if name != lockName && name != asideName {
			l.strange = append(l.strange, name)
		}
	}
	slices.Sort(l.segments)
	slices.Sort(l.snapshots)
	return l, nil
}

// segment is a segment of the log as its header tells.
type segment struct {
	segmentHeader
	path   string
	cipher *cipherOf
	size   int64 // of the file
	end    int64 // bytes in which frames that count may stand
}

// openHeader reads the header of a segment from either of its copies. Codes:
// Corrupt when neither is whole, Unsupported for a newer format, NotFound for a
// data key that the keyring does not have, Unavailable for an error of the disk.
func (d directory) openHeader(number uint64) (*segment, error) {
	path := d.join(numbered(number, segmentSuffix))
	size, b, err := readPrefix(d.fs, path, dataStart)
	if err != nil {
		return nil, err
	}
	h, raw, err := eitherHeader(b)
	if err != nil {
		return nil, penstock.Errorf(penstock.CodeOf(err), "%s cannot be read: %w", path, err)
	}
	if h.number != number {
		return nil, penstock.Errorf(penstock.Corrupt, "%s holds segment %016x: it was renamed or copied by hand; give it its name back or move it away", path, h.number)
	}
	if h.node != d.keys.NodeID() {
		return nil, penstock.Errorf(penstock.Corrupt, "%s was written by node %x, the keyring is that of node %x: put the keys directory that belongs to this spool back", path, h.node, d.keys.NodeID())
	}
	stream, _, err := d.keys.OpenStream(purpose, h.stream[:])
	if err != nil {
		return nil, penstock.Errorf(penstock.CodeOf(err), "%s cannot be opened: %w", path, err)
	}
	return &segment{segmentHeader: h, path: path, cipher: newCipher(stream, raw), size: size, end: size}, nil
}

func eitherHeader(b []byte) (segmentHeader, []byte, error) {
	h, err := decodeSegmentHeader(b)
	if err == nil {
		return h, b[:headerSize], nil
	}
	if len(b) >= dataStart {
		if h, second := decodeSegmentHeader(b[headerCopy:]); second == nil {
			return h, b[headerCopy:dataStart], nil
		} else if penstock.CodeOf(second) == penstock.Unsupported {
			err = second
		}
	}
	return h, nil, err
}

// readPrefix returns the size of a file and at most its first n bytes.
func readPrefix(fs vfs.FS, path string, n int64) (size int64, b []byte, err error) {
	f, err := fs.Open(path)
	if err != nil {
		return 0, nil, penstock.Errorf(penstock.Unavailable, "open %s: %w", path, err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return 0, nil, penstock.Errorf(penstock.Unavailable, "look at %s: %w", path, err)
	}
	b = make([]byte, min(n, fi.Size()))
	if got, err := f.ReadAt(b, 0); got < len(b) {
		return 0, nil, penstock.Errorf(penstock.Unavailable, "read %s: %w", path, err)
	}
	return fi.Size(), b, nil
}

// scan returns a scanner over an open segment file.
func (s *segment) scan(file io.ReaderAt) *scanner {
	return &scanner{file: file, cipher: s.cipher, number: s.number, off: dataStart}
}

// makeDirs makes the spool's directories with the entries that name them
// durable, also when an earlier process made them and was cut off.
func (d directory) makeDirs() error {
	sync := []string{d.path, d.fs.PathDir(d.path)}
	for dir := d.fs.PathDir(d.path); d.fs.PathDir(dir) != dir; dir = d.fs.PathDir(dir) {
		if _, err := d.fs.Stat(dir); err == nil {
			break
		}
		sync = append(sync, d.fs.PathDir(dir))
	}
	if err := d.fs.MkdirAll(d.join(asideName), 0o700); err != nil {
		return diskError(err, "make the spool's directory %s", d.path)
	}
	for _, dir := range sync {
		if err := d.syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func (d directory) syncDir(path string) error {
	f, err := d.fs.OpenDir(path)
	if err != nil {
		return diskError(err, "open directory %s", path)
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return diskError(err, "sync directory %s", path)
	}
	return nil
}

// publish gives a synced file its name in the log and makes the name durable.
func (d directory) publish(from, to string) error {
	if err := d.fs.Rename(from, to); err != nil {
		return diskError(err, "name %s", to)
	}
	return d.syncDir(d.fs.PathDir(to))
}

// diskError gives an error of the disk its code: Full when there is no space.
func diskError(err error, format string, args ...any) error {
	code := penstock.Unavailable
	if vfs.IsNoSpaceError(err) {
		code = penstock.Full
	}
	return penstock.Errorf(code, format+": %w", append(args, err)...)
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// byPosition finds the last segment that starts at or before a position.
func byPosition(segments []*segment, p penstock.Position) int {
	i, found := slices.BinarySearchFunc(segments, p, func(s *segment, p penstock.Position) int {
		return cmp.Compare(s.first, p)
	})
	for found && i+1 < len(segments) && segments[i+1].first == p {
		i++ // those before hold nothing
	}
	if !found {
		i--
	}
	return i
}
